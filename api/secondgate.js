// A banner and step-up for apps: see docs/programs.md. Makes no HTML of strings, asks the
// gate on this origin, and leads to the gate's own pages and back here alone.
(() => {
	"use strict";

	const root = "/.mfa/";
	const key = "secondgate-banner";
	const day = 864e5; // ms

	const words = {
		en: {
			title: "Protect your account", act: "Protect it now", dismiss: "Not now",
			turn_on: "Your password alone opens your account. Turn the second step on again.",
			add_factor: "Add a second step, so that a stolen password is not enough.",
			make_backup_codes: "Make backup codes, so that a lost phone does not lock you out.",
			renew_backup_codes: "Your backup codes are running out. Make new ones.",
			campaign: "Please set up a second step by DATE.",
			other: "Your account can be protected better.",
		},
		de: {
			title: "Schützen Sie Ihr Konto", act: "Jetzt schützen", dismiss: "Nicht jetzt",
			turn_on: "Ihr Passwort allein öffnet Ihr Konto. Schalten Sie den zweiten Schritt wieder ein.",
			add_factor: "Richten Sie einen zweiten Schritt ein, damit ein gestohlenes Passwort nicht ausreicht.",
			make_backup_codes: "Erstellen Sie Backup-Codes, damit ein verlorenes Telefon Sie nicht aussperrt.",
			renew_backup_codes: "Ihre Backup-Codes gehen zur Neige. Erstellen Sie neue.",
			campaign: "Bitte richten Sie bis zum DATE einen zweiten Schritt ein.",
			other: "Ihr Konto lässt sich besser schützen.",
		},
	};

	const style = `
		section { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: center; padding: .75rem 1rem;
			font: 1rem/1.5 system-ui, sans-serif; color: light-dark(#16181d, #eceef2);
			background: light-dark(#e9effd, #1c2540);
			margin: 0 0 1rem; border-radius: 10px; }
		p { flex: 1 1 18rem; margin: 0; }
		a, button { box-sizing: border-box; min-height: 2.75rem; padding: .5rem 1rem; border: 1px solid; border-radius: 10px;
			font: inherit; font-weight: 600; color: light-dark(#1f4fd8, #9db8ff);
			background: none; text-decoration: none; cursor: pointer; }
		a:focus-visible, button:focus-visible { outline: 3px solid; outline-offset: 2px; }`;

	const ask = (path) => fetch(root + "api/" + path, { headers: { Accept: "application/json" } });

	// A page of the gate with the way back here, never another place.
	function address(next) {
		const to = new URL(next, location.origin);
		if (to.origin !== location.origin || !to.pathname.startsWith(root)) {
			throw new Error("Secondgate: not an address of the gate");
		}
		to.searchParams.set("rd", location.pathname + location.search);
		return to.href;
	}

	// go leaves the page: nothing comes after it.
	function go(next) {
		location.assign(address(next));
		return new Promise(() => {});
	}

	function element(name, text, more) {
		return Object.assign(document.createElement(name), { textContent: text }, more);
	}

	function putAway(advice) {
		try {
			const [what, until] = (localStorage.getItem(key) || "").split(" ");
			return what === advice && Date.now() < Number(until);
		} catch {
			return false; // the browser keeps nothing
		}
	}

	// Resolves to the banner, or to null where there is nothing to show.
	async function banner({ into = document.body, days = 7, lang = document.documentElement.lang || navigator.language } = {}) {
		const answer = await ask("account");
		if (!answer.ok) return null; // something is owed first
		const { score, campaign } = await answer.json();
		const better = ["unprotected", "fair"].includes(score.level) && score.advice.length > 0 && score.advice[0].advice;
		const advice = campaign ? "campaign" : better;
		if (!advice || putAway(advice)) return null;

		const language = /^de\b/i.test(lang) ? "de" : "en";
		const text = words[language];
		const until = campaign && new Date(campaign.deadline).toLocaleDateString(language, { dateStyle: "long" });
		const host = document.createElement("secondgate-banner");
		host.lang = language;
		const shadow = host.attachShadow({ mode: "open" });
		const sheet = new CSSStyleSheet();
		sheet.replaceSync(style);
		shadow.adoptedStyleSheets = [sheet];
		const section = document.createElement("section");
		section.setAttribute("aria-label", text.title);
		const dismiss = element("button", text.dismiss, { type: "button" });
		dismiss.addEventListener("click", () => {
			host.remove();
			try {
				localStorage.setItem(key, advice + " " + (Date.now() + days * day));
			} catch { /* it comes again */ }
		});
		section.append(
			element("p", (Object.hasOwn(text, advice) ? text[advice] : text.other).replace("DATE", until)),
			element("a", text.act, { href: address(root + "account") }),
			dismiss,
		);
		shadow.append(section);
		into.prepend(host);
		return host;
	}

	// Resolves where a proof is fresh enough; otherwise leads to where it is made, and back.
	async function stepUp({ maxAge = 300, factors = [], phishingResistant = false } = {}) {
		const query = new URLSearchParams({ max_age: maxAge });
		if (factors.length > 0) query.set("factors", factors.join(" "));
		if (phishingResistant) query.set("phishing_resistant", "true");
		const answer = await ask("account/verification?" + query);
		const body = await answer.json();
		if (answer.ok && body.needed === "nothing") return;
		if (body.next) return go(body.next);
		throw new Error("Secondgate: " + (body.detail || "this cannot be verified here"));
	}

	async function gateFetch(url, options) {
		const answer = await fetch(url, options);
		const challenge = answer.headers.get("WWW-Authenticate") || "";
		if (answer.status !== 401 || !challenge.includes("insufficient_user_authentication")) return answer;
		if (new URL(answer.url).origin !== location.origin) return answer;
		const { next } = await answer.clone().json().catch(() => ({}));
		return next ? go(next) : answer;
	}

	window.Secondgate = Object.freeze({ banner, stepUp, fetch: gateFetch });

	const own = document.currentScript;
	if (own && "banner" in own.dataset) {
		const show = () => banner({ days: Number(own.dataset.days) || 7 }).catch(() => {});
		if (document.body) show(); else addEventListener("DOMContentLoaded", show);
	}
})();
