"""Phrases of servers that refuse a message, by category: data for `bounce_categories`.

They are in the order of the search, the more specific ones first. They are matched against the text in lower case, with
one space for each run of characters that are neither letters nor digits. `a|b` is either word, `_` is a space within
one of them, and `..` stands for at most five words. A line that ends in `|` continues on the next.
"""

from __future__ import annotations

PHRASES = {
    "virus_detected": """
        virus|viruses|malware|infected
        banned|dangerous|executable .. attachment|content|file
    """,
    "greylisting": """
        greylisted|graylisted|greylisting|graylisting|greylist|grey_listed
        try_again .. minutes
    """,
    "mailbox_full": """
        mailbox|mailfolder|inbox|maildrop|user|account|recipient|storage|disk|boite .. full|over_quota|overquota
        over|exceeded|exceeds|exceed|exceeding|out_of|full|overdrawn .. quota
        quota .. exceeded|exceed|exceeds|full|reached|violation
        mailbox .. exceeded|exceeds|too_large|size_limit|overflow
        insufficient|not_enough|no|out_of .. storage|disk_space|system_storage|space_left|mailbox_space
        storage .. exceeded|exhausted|limit
        maximum_allowed|no_room .. mailbox|storage|data
        boîte|boite|postfach|buzón|buzon|casella .. pleine|voll|lleno|llena|piena
        postbus|skrzynka|caixa|postlåda|postkasse .. vol|pełna|cheia|full|fuld
        переполнен|переповнен
        \\w{0,20}(?:邮箱已满|信箱已滿|一杯です|いっぱい)\\w{0,20}
    """,
    "auth_failure": """
        dmarc|dkim|spf|domainkeys|unauthenticated
        sender_policy_framework
        authentication_level|authentication_checks|authentication_information|authentication_requirements
        message|mail|email|sender .. not_authenticated
    """,
    "rate_limited": """
        too_many .. connections|messages|recipients|mails|emails|errors|sessions|invalid_recipients
        throttled|throttling|ratelimit|ratelimited
        rate|sending|hourly|daily|connection|message|messages .. limit|limits|limited .. exceeded|reached
        rate_limit|rate_limited|connection_limit|exceeded .. rate
        at_a_rate|unusual_rate|too_fast|too_quickly|maximum_number .. connections
        limit_exceeded|exceeded_limit
    """,
    "ip_blacklisted": """
        spamhaus|spamcop|sorbs|abuseat|uceprotect|senderscore|barracudacentral|dnsbl|rbl|rbls|blocklist_de
        blocked|listed|rejected|denied|banned|blacklisted .. ip|ips|client_host|ip_address
        ip|ips|ip_address|client_host|sending_mta|your_host|your_server|mail_server .. blocked|listed|
            blacklisted|banned|rejected|blacklist|blocklist|denied|reputation
        poor|bad|low|mta_s|sender .. reputation
        reverse_dns|ptr|reverse_hostname|rdns|dynamic_ip
        unverifiable|unverifyable .. ips|ip
        cannot_find|cannot_resolve|find .. your .. hostname|ip
    """,
    "domain_blacklisted": """
        sender|sending|your|from .. domain .. blacklisted|blocklisted|blocked|listed|banned
        dbl|surbl|uribl|sender_blocked|sender_is_blocked|sender_denied
    """,
    "geo_blocked": """
        your|from|this|sending .. country|region
        geoip|geo_blocked|geolocation|country_blocked
    """,
    "relay_denied": """
        relay|relaying .. denied|not_permitted|not_allowed|prohibited|disallowed|refused|rejected|access
        unable|not_allowed|not_permitted|refused|insecure|denied|cannot|not|deny .. relay|relaying
        insecure_mail_relay|relay_access|open_relay|smtp_auth|smtp_authentication|authentication_required
        gateway_user|gateway .. not_allowed
    """,
    "invalid_address": """
        host|hostname|domain|domain_name|host_name .. unknown|not_found|not_exist|doesn_t_exist|nonexistent|
            non_existent|be_found
        unknown_host|unknown_domain|no_such_host|no_such_domain|nonexistent_domain|nxdomain
        cannot_find|could_not_find|couldn_t_find .. host|domain|gateway|exchange|exchanger|mx
        name_or_service_not_known|name_service_error|name_not_found|unrouteable_mail_domain|null_mx|nullmx
        no_mx_record|no_mx_records|no_mx_or|no_valid_mx|no_usable_mx|mx_records_point|all_relevant_mx_records|
            no_mail_server|no_a_record
        does_not_accept_mail|does_not_receive_mail|illegal_host
        bad|illegal|malformed|invalid|unparseable address_syntax|recipient_syntax|domain|host|hostname|mx
    """,
    "user_unknown": """
        user|users|recipient|recipients|mailbox|account|address|alias|addressee|person|subscriber|username|
            local_part|mailhost|name|destinataire|adresse|customer|group .. unknown|not_found|not_exist|
            nonexistent|not_listed|not_known|not_recognized|not_valid|notfound|invalid|be_found|inconnu|
            inconnue|doesn_t_exist|does_n_t_exist|non_existent|not_registered|not_defined|not_local|
            not_available|n_existe_pas|unbekannt|no_longer_valid|not_a_valid
        unknown|invalid|illegal|nonexistent|unrecognized|bad .. user|users|recipient|recipients|mailbox|account|
            local_part|alias|userid|username|final
        invalid_address|unrouteable_address|unroutable_address|email_address_invalid|to_address
        no_such|not_a_valid|not_a_known|no_valid|not_a|no .. user|users|recipient|recipients|person|mailbox|
            account|alias|subscriber
        doesn_t|does_not|don_t|do_not .. have .. account|mailbox|user
        recipnotfound|recipientnotfound
        no_mailbox|no_account|account_that_you_tried_to_reach_does_not_exist|may_not_exist|has_moved|
            no_longer_available|no_longer .. employed|accepts|works|in_use
        does_not_like_recipient|bad_destination_mailbox_address|unable_to_validate_recipient|not_our_customer|
            no_forwarding_address
        utente|indirizzo|destinatario|destinataria|dirección|cuenta|usuario|usuário|endereço|conta|gebruiker|adres|
            ontvanger|użytkownik|odbiorca|användaren|mottagaren|brugeren|modtageren|brukeren|mottakeren|uživatel|
            příjemce .. sconosciuto|inesistente|desconocido|desconocida|inexistente|desconhecido|onbekend|nieznany|
            okänd|ukendt|ukjent|neznámý
        non_esiste|no_existe|não_existe|bestaat_niet|nie_istnieje|finns_inte|findes_ikke|finnes_ikke|neexistuje
        не_існує|не_существует|не_найден|не_найдена|несуществующ|user_not|존재하지_않는|존재하지_않습니다
        \\w{0,20}(?:不存在|見つかりません|見つかりませんでした|存在しません)\\w{0,20}
    """,
    "mailbox_disabled": """
        user|recipient|mailbox|account|address|email .. disabled|suspended|inactive|inactivated|deactivated|
            locked|closed|frozen|not_active|expired|unavailable
        disabled|inactive|suspended|deactivated|locked .. user|recipient|mailbox|account
        not_accepting .. mail|messages|email
        mailbox_unavailable|заблокирован|отключен
    """,
    "spam_blocked": """
        spam|spams|spammer|spamming|junk|unsolicited|bulk_email|bulk_mail|phishing|phish|uce|antispam|spammy
        content|contents .. rejected|denied|blocked|filter|filtered|filtering|violation|restricted
        rejected|blocked|refused .. content|contents|filter|user_feedback
        suspicious|mail_rejete|ofr_506|looks_like|complaint|complaints|abuse
    """,
    "server_error": """
        timed_out|timeout|time_out|unreachable|not_reachable|no_route|not_responding|no_answer|
            could_not_connect|couldn_t_connect|unable_to_connect
        connect|connection|connecting .. refused|reset|lost|dropped|closed|failed|timed
        loop|loops|looping|too_many_hops|hop_count
        try_again|try_later|temporarily|temporary|deferred|retry|retried|delayed|
            has_been_in_the_queue|
            in_the_queue_too_long|could_not_be_delivered_for|undeliverable_after
        system|local|internal|server|service|protocol|configuration|database|disk|lookup|network|
            io|lmtp|remote .. error|problem|failure|trouble
        system_resources|out_of_memory|overloaded|too_busy|no_space|service_unavailable|not_available
        could_not_deliver_for|multiple_retries|requests_to_connect|socket_error|giving_up_after
        certificate|tls_handshake|handshake|starttls|delivery_time_expired|expired|child_status|lookup_failure|
            host_or_domain_name_lookup
    """,
    "policy_blocked": """
        policy|policies|access_denied|not_allowed|not_permitted|not_authorized|prohibited|forbidden|
            administrative|administratively|restricted|permission|permitted
        refused|rejected|blocked|denied|banned|not_accepted|security|moderated|not_member|not_a_member|members
        too_big|too_large|too_long|size_limit|message_size
        size .. exceeds|exceeded
        sender_verify|verify_failed|sender_verification|malformed|not_rfc|rfc_5322|rfc_2822|bare_lf|duplicate_header
        blacklisted|blocklisted|does_not_conform|not_compliant
    """,
}
