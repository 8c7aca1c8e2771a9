// Package mfa is the core of the gateway: who a user is, which factors they hold,
// what a policy asks, what a session proved, and what follows from all that.
//
// # How to read it
//
// Decide (decide.go) is the one function that permits: pure, total, and closed by
// default. Everything it looks at is a value: Policy (policy.go), to which a user's
// organizations add (organization.go), Place (place.go), Session with its Proofs
// (session.go), and the Subject of a User (user.go). Policies (policies.go) is the
// policy as it holds now, out of the configuration and the store.
//
// Gate (gate.go) carries out what a decision asks for: sign-in (signin.go,
// passkeysignin.go, and for what strangers start signup.go, waiting.go, forgotten.go), links of administrators
// (link.go), their passes and bypasses (pass.go), set-up of factors (enroll.go), of
// addresses (address.go) and of backup codes (codes.go), verification (verify.go), codes
// that are sent (sent.go), browsers that stand for a second factor (remember.go), the way from the portal to other
// hosts (handoff.go), the
// account page (account.go), and what administrators do (admin.go, organizations.go,
// audit.go). State (state.go) says to a page where a person stands. Each step ends in
// settle, which decides again, gives the session a new ID, and completes the sign-in
// where nothing more is owed.
//
// # What it needs
//
// The package declares every interface that it needs and every type that crosses
// a wall: Store (store.go), Authenticator, BackupCodes, Passkeys, PasswordSource,
// Passwords (factor.go), SentCodes, Post and Sender (letter.go), and Events (event.go). Others implement them and do not
// know each other. It knows no HTTP, no storage and no library: the standard
// library is all that it imports.
//
// # What always holds
//
//   - What is spent is spent inside the write that decides it: a time step, a
//     backup code, a challenge, a link. Attempts are counted before anything is
//     compared (throttle.go).
//   - What a rule needs is checked where the credential is written, not only
//     where the page was shown.
//   - A failed proof is ErrRejected, whatever the cause. Any error that is not one
//     of the sentinels of errors.go is a fault of ours, and refuses.
//   - Every attempt leaves an Event.
//
// Rules are cited by their number in the product's rule book (B1, B2 …), abuse
// cases as AC-nnn.
package mfa
