// Package oidc is the identity source of people who sign in at an OpenID provider: the
// authorization code flow of OpenID Connect Core 1.0 with PKCE (RFC 7636) and the check
// of the answer's issuer (RFC 9207), sign-out from here (RP-Initiated Logout 1.0) and
// from there (Back-Channel Logout 1.0), and refresh tokens to ask whether a person
// still stands.
//
// What a provider says is believed where it is signed, for us, new, and of the type
// that it has to be; every other claim is nothing. A person is the provider's `sub` and
// never an address. A second factor that the provider has asked for counts only where
// the configuration says so.
//
// It leaves the browser, its cookies and the state to the gate: see mfa.RedirectSource.
// It is the only importer of go-oidc and of oauth2, and of no HTTP: internal/outbound
// makes the client, whose answers are bounded.
package oidc
