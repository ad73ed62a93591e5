// Lets a form be answered by a passkey: its button asks the browser for one, then the form goes with the answer.
"use strict";
(() => {
  const Key = window.PublicKeyCredential;
  // Passkeys belong to a host name; browsers make none for an address.
  const isAddress = /^[\d.]+$|^\[/.test(location.hostname);
  if (!Key || !Key.parseRequestOptionsFromJSON || !Key.parseCreationOptionsFromJSON || isAddress) return;

  async function answer(form) {
    const options = JSON.parse(form.dataset.options);
    const credential = form.dataset.passkey === "create"
      ? await navigator.credentials.create({ publicKey: Key.parseCreationOptionsFromJSON(options) })
      : await navigator.credentials.get({ publicKey: Key.parseRequestOptionsFromJSON(options) });
    return JSON.stringify(credential.toJSON());
  }

  for (const form of document.querySelectorAll("form[data-passkey]")) {
    const note = form.querySelector("[data-twice]");
    form.hidden = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      note.hidden = true;
      try {
        form.elements.answer.value = await answer(form);
      } catch (error) {
        note.textContent = error.name === "InvalidStateError" ? note.dataset.twice : note.dataset.none;
        note.hidden = false;
        return;
      }
      form.submit();
    });
  }
  for (const each of document.querySelectorAll("[data-no-passkeys]")) each.hidden = true;
})();
