// What makes the pages quicker where scripts run. Everything but passkeys works
// without it. Nothing here writes HTML: text goes in as text.
"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const one = (selector, root = document) => root.querySelector(selector);

  for (const e of all("[data-js]")) e.hidden = false;

  // A link's secret stands in the fragment, which is never sent to a server. It
  // moves into the form and out of the address bar before anything else happens.
  const link = one("form[data-fragment]");
  if (link && location.hash.length > 1) {
    link.elements.token.value = location.hash.slice(1);
    history.replaceState(null, "", location.pathname + location.search);
    link.requestSubmit();
  }
  // Another link, opened in the tab of a link that is used up, differs from its address in
  // the fragment alone, and for that no browser loads the page anew.
  if (location.pathname === "/.mfa/link") {
    addEventListener("hashchange", () => {
      const next = new URL(location.href);
      if (next.hash.length < 20) return;
      next.searchParams.set("n", Date.now());
      location.replace(next);
    });
  }

  // Where something went wrong, reading starts there.
  const alert = one("[role=alert][tabindex]");
  if (alert && !one("[autofocus]")) alert.focus();

  // A button that was pressed says so, and cannot be pressed twice.
  const busy = (button, on) => {
    if (!button) return;
    if (on) {
      button.setAttribute("aria-busy", "true");
      if (!button.dataset.busy) return;
      button.dataset.idle = button.textContent;
      button.textContent = button.dataset.busy;
    } else {
      button.removeAttribute("aria-busy");
      if (button.dataset.idle === undefined) return;
      button.textContent = button.dataset.idle;
      delete button.dataset.idle;
    }
  };
  for (const form of all("form")) {
    form.addEventListener("submit", (event) => {
      if (form.dataset.sent) {
        event.preventDefault();
        return;
      }
      if (event.defaultPrevented) return;
      form.dataset.sent = "1";
      busy(event.submitter || one("button.button", form), true);
    });
  }
  addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    for (const form of all("form")) delete form.dataset.sent;
    for (const button of all("[aria-busy]")) busy(button, false);
  });

  // A code is sent on its last digit. What was sent once and came back is not
  // sent again by itself.
  for (const field of all("input[data-digits]")) {
    field.addEventListener("input", () => {
      const digits = field.value.replace(/[\s-]/g, "");
      if (one("button.button:disabled", field.form)) return;
      if (digits.length === Number(field.dataset.digits) && /^[0-9]+$/.test(digits) && !field.dataset.done) {
        field.dataset.done = "1";
        field.value = digits;
        field.form.requestSubmit();
      }
    });
  }

  for (const button of all("[data-reveal]")) {
    button.addEventListener("click", () => {
      const field = document.getElementById(button.dataset.reveal);
      const shown = field.type === "text";
      field.type = shown ? "password" : "text";
      button.textContent = shown ? button.dataset.show : button.dataset.hide;
      field.focus();
    });
  }

  // A button that must wait counts down on itself, and opens by itself.
  for (const button of all("button[data-countdown]")) {
    const end = Date.now() + Number(button.dataset.countdown) * 1000;
    const label = button.textContent;
    const tick = () => {
      const left = Math.ceil((end - Date.now()) / 1000);
      button.disabled = left > 0;
      if (left <= 0) {
        button.textContent = label;
        return;
      }
      const clock = Math.floor(left / 60) + ":" + String(left % 60).padStart(2, "0");
      button.textContent = button.dataset.text.replace("{time}", clock);
      setTimeout(tick, 250);
    };
    tick();
  }

  for (const button of all("[data-copy]")) {
    button.addEventListener("click", async () => {
      const lines = all(button.dataset.copy).map((e) => e.textContent.trim());
      const idle = button.textContent;
      try {
        await navigator.clipboard.writeText(lines.join("\n"));
        button.textContent = button.dataset.copied;
      } catch {
        button.textContent = button.dataset.failed;
      }
      setTimeout(() => { button.textContent = idle; }, 2500);
    });
  }
  for (const button of all("[data-print]")) button.addEventListener("click", () => print());

  // The theme changes where it stands; nothing is loaded anew.
  for (const button of all("[data-themes] button")) {
    button.addEventListener("click", (event) => {
      event.preventDefault();
      const group = button.parentElement;
      const theme = button.value;
      const body = new URLSearchParams({ csrf: one("input[name=csrf]").value, theme });
      if (theme === "auto") delete document.documentElement.dataset.theme;
      else document.documentElement.dataset.theme = theme;
      for (const b of all("button", group)) b.setAttribute("aria-pressed", String(b === button));
      fetch("/.mfa/preferences", { method: "POST", body, redirect: "manual" }).catch(() => {});
    });
  }

  const language = document.documentElement.lang;
  for (const e of all("time[data-local]")) {
    const at = new Date(e.dateTime);
    if (!Number.isNaN(at.getTime())) e.textContent = at.toLocaleDateString(language, { dateStyle: "medium" });
  }

  // Passkeys: begin, ask the browser, finish. The server says where to go next, but
  // not of a request that may be withdrawn: nobody asked for it.
  const send = async (button, url, body, signal) => {
    const answer = await fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/json", "Accept": "application/json", "X-CSRF-Token": button.dataset.csrf },
      body: JSON.stringify(body),
      signal,
    });
    const data = await answer.json().catch(() => ({}));
    if (!signal && data.next && data.next.startsWith("/")) {
      location.assign(data.next);
      return new Promise(() => {});
    }
    if (!answer.ok) throw Object.assign(new Error("refused"), { text: data.error || button.dataset.fault });
    return data;
  };
  for (const button of all("[data-passkey]")) {
    const create = button.dataset.passkey === "create";
    const box = document.getElementById(button.dataset.errors);
    const say = (text) => {
      box.textContent = text;
      box.hidden = !text;
      document.title = text ? button.dataset.errorTitle : button.dataset.title;
      if (text) box.focus();
    };
    if (!window.PublicKeyCredential || !PublicKeyCredential.parseCreationOptionsFromJSON) {
      // A page that works without scripts has another way, and no need of excuses.
      const part = button.closest("[data-js]");
      if (part) {
        part.hidden = true;
        continue;
      }
      button.disabled = true;
      say(button.dataset.unsupported);
      continue;
    }
    const begin = (signal) => send(button, button.dataset.begin, {}, signal);
    const finish = (begun, credential) => send(button, button.dataset.finish, {
      id: begun.id, answer: credential.toJSON(), remember: Boolean(one("[data-remember]:checked")),
    });
    const explain = (error) => {
      busy(button, false);
      if (error.text) say(error.text);
      else if (error.name === "NotAllowedError" || error.name === "AbortError") say(button.dataset.cancelled);
      else if (error.name === "InvalidStateError") say(button.dataset.already);
      else if (error.name === "SecurityError") say(button.dataset.insecure);
      else if (error.name === "NotSupportedError" || error.name === "ConstraintError") say(button.dataset.unsupported);
      else say(button.dataset.fault);
    };

    // Autofill: a ceremony waits until a passkey is picked in the field for the name.
    // Browsers carry out one at a time, so it makes way for the button and for the
    // form. It begins anew before the server forgets it, while somebody looks. Until
    // a passkey is picked it fails without a word, and another one begins when the
    // person comes back to the field: never by itself, or it could go in circles.
    const field = create ? null : one("input[autocomplete~=webauthn]");
    const renewAfter = 4.5 * 60_000; // the server keeps one for 5 minutes
    let autofill = false;
    let waiting = null;
    const withdraw = () => {
      if (waiting) waiting.abort();
      waiting = null;
    };
    const offer = async () => {
      if (!autofill || waiting || document.hidden || button.getAttribute("aria-busy") || one("form[data-sent]")) return;
      const mine = waiting = new AbortController();
      const renewal = setTimeout(() => { withdraw(); offer(); }, renewAfter);
      let picked = false;
      try {
        const begun = await begin(mine.signal);
        const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(begun.publicKey);
        const credential = await navigator.credentials.get({ publicKey, mediation: "conditional", signal: mine.signal });
        picked = true;
        clearTimeout(renewal);
        say("");
        busy(button, true);
        await finish(begun, credential);
      } catch (error) {
        if (picked && !mine.signal.aborted) explain(error);
      } finally {
        clearTimeout(renewal);
        if (waiting === mine) waiting = null;
      }
    };
    if (field && PublicKeyCredential.isConditionalMediationAvailable) {
      PublicKeyCredential.isConditionalMediationAvailable().then((yes) => {
        autofill = yes;
        offer();
      }).catch(() => {});
      field.addEventListener("focus", offer);
      document.addEventListener("submit", withdraw);
      document.addEventListener("visibilitychange", offer);
      addEventListener("pageshow", offer);
    }

    const run = async () => {
      if (button.getAttribute("aria-busy")) return;
      withdraw();
      say("");
      busy(button, true);
      try {
        const begun = await begin();
        const publicKey = create
          ? PublicKeyCredential.parseCreationOptionsFromJSON(begun.publicKey)
          : PublicKeyCredential.parseRequestOptionsFromJSON(begun.publicKey);
        const credential = await (create ? navigator.credentials.create({ publicKey }) : navigator.credentials.get({ publicKey }));
        await finish(begun, credential);
      } catch (error) {
        explain(error);
        offer();
      }
    };
    button.addEventListener("click", run);
  }
})();
