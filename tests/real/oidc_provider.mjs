// An OpenID Connect provider on loopback: node oidc_provider.mjs PORT ACCESS_TOKEN_SECONDS REDIRECT_URL.
// Any login name is a user, and no grant is forgotten, however many tokens come after it: the provider's own store keeps
// the latest thousand entries alone. /control/ lets a test say what befalls the token endpoint, and ask what it was asked.
import Provider from 'oidc-provider';
import MemoryAdapter from './node_modules/oidc-provider/lib/adapters/memory_adapter.js';
import LRU from './node_modules/oidc-provider/lib/helpers/lru.js';
const DAY = 86400;
const store = new LRU({maxSize: 1e6});
const [port, seconds, redirect] = [+process.argv[2], +process.argv[3], process.argv[4]];
const state = {down: false, revoked: [], requests: 0, refreshes: 0, refused: 0};
const provider = new Provider('http://127.0.0.1:' + port, {
  adapter: model => new MemoryAdapter(model, store),
  clients: [
    {client_id: 'engine', client_secret: 's3cret', redirect_uris: [redirect],
      grant_types: ['authorization_code', 'refresh_token'], response_types: ['code']},
    {client_id: 'dovecot', client_secret: 'dv', redirect_uris: [], grant_types: ['client_credentials'],
      response_types: []},
  ],
  scopes: ['openid', 'offline_access', 'email', 'mail'],
  claims: {openid: ['sub'], email: ['email', 'email_verified']},
  findAccount: (ctx, id) => state.revoked.includes(id) ? undefined :
    {accountId: id, claims: () => ({sub: id, email: id, email_verified: true})},
  features: {introspection: {enabled: true, allowedPolicy: () => true}, revocation: {enabled: true},
    devInteractions: {enabled: true}, clientCredentials: {enabled: true}},
  extraTokenClaims: (ctx, token) => ({email: token.accountId}),
  ttl: {AccessToken: seconds, RefreshToken: DAY, AuthorizationCode: 60, Grant: DAY, Session: 3600, Interaction: 3600,
    IdToken: 3600},
  rotateRefreshToken: true,
  pkce: {required: () => true},
});
provider.use(async (ctx, next) => {
  const [, room, name, value] = ctx.path.split('/');
  if (room === 'control') {
    if (name === 'down') state.down = value === 'true';
    if (name === 'revoke') state.revoked.push(value);
    if (name === 'forgive') state.revoked = [];
    ctx.body = state;
    return;
  }
  const isToken = ctx.path === '/token';
  if (isToken) state.requests += 1;
  if (isToken && state.down) {
    ctx.status = 503;
    return;
  }
  await next();
  if (isToken && ctx.status === 200) state.refreshes += 1;
  if (isToken && ctx.status !== 200) state.refused += 1;
});
provider.on('server_error', (ctx, error) => console.error(error));
provider.listen(port, '127.0.0.1', () => console.log('up'));
