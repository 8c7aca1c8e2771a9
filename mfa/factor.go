package mfa

import (
	"context"
	"fmt"
	"time"
)

// Authenticator checks the codes of authenticator apps. Package factor/totp
// implements it.
type Authenticator interface {
	// NewSecret makes a secret for a new authenticator app: what the credential
	// will hold, and the text that a person types where no camera is at hand.
	NewSecret() (data, text Secret, err error)
	// URI returns the otpauth URI that the QR code carries.
	URI(text Secret, issuer, account string) Secret
	// Step returns the time step whose code was entered, or ErrRejected, or a
	// *ClockError. It spends nothing: the caller compares the step with
	// Credential.Step inside the write that spends it.
	Step(data Secret, code string, now time.Time) (int64, error)
}

// ClockError says that the code would be right at another time: the clock of the
// phone, or ours, is off. It is for people who have proven their first factor.
type ClockError struct{ Off time.Duration }

// Error says by how much the clocks differ.
func (e *ClockError) Error() string { return fmt.Sprintf("the clocks differ by %s", e.Off) }

// Unwrap makes a ClockError a rejection.
func (e *ClockError) Unwrap() error { return ErrRejected }

// BackupCodes makes and checks sets of backup codes. Package factor/backupcode
// implements it.
type BackupCodes interface {
	// New returns a set of ten: what the credential will hold (hashes only), and
	// the codes as people see them.
	New(ctx context.Context) (data Secret, codes []string, err error)
	// Match returns which code of the set was entered, or ErrRejected. It costs
	// one password hash whatever was entered, and may wait for its turn
	// (ErrBusy).
	Match(ctx context.Context, data Secret, code string) (index int, err error)
	// Spend marks the code as used and returns the new data and how many are
	// left, or ErrRejected where it was used already. It is cheap and pure: it
	// runs inside the write that spends the code.
	Spend(data Secret, index int) (Secret, int, error)
}

// Passkeys carries out the two ceremonies of WebAuthn. Package factor/passkey
// implements it. Options and answers are the JSON that browsers understand; state
// is opaque and stays on the server.
type Passkeys interface {
	BeginEnrollment(at *Place, u *User) (options, state []byte, err error)
	// FinishEnrollment checks a registration (WebAuthn §7.1) with user
	// verification required and returns a credential with Data, Unique and RPID
	// set, or an error that wraps ErrRejected.
	FinishEnrollment(at *Place, u *User, state, answer []byte) (*Credential, error)
	// BeginVerification offers the user's passkeys whose RPID fits the place.
	BeginVerification(at *Place, u *User) (options, state []byte, err error)
	// FinishVerification checks an assertion (WebAuthn §7.2) and returns the
	// credential that signed and its new Data (sign counter, backup state). A
	// counter that went back is ErrCloned.
	FinishVerification(at *Place, u *User, state, answer []byte) (id CredentialID, data Secret, err error)
	// BeginSignIn offers whatever passkey of this place the browser holds: the user
	// is not known yet (WebAuthn §7.2, a discoverable credential).
	BeginSignIn(at *Place) (options, state []byte, err error)
	// FinishSignIn is FinishVerification for a ceremony of BeginSignIn. find returns
	// the user of a user handle, or ErrNotFound; the credential must be that user's.
	// The user that it returns is the one who signed in.
	FinishSignIn(at *Place, state, answer []byte, find func(handle []byte) (*User, error)) (u *User, id CredentialID, data Secret, err error)
	// Advance merges the Data of a verification into what the record holds now,
	// inside the write: ErrCloned where another verification has moved the
	// counter to or past this one's.
	Advance(current, verified Secret) (Secret, error)
}

// Passwords makes what a local account keeps of a password. Package
// identity/local implements it.
type Passwords interface {
	// Check returns a *PasswordError where the rules refuse the password; words
	// are what must not be in it (the user name, the host).
	Check(password string, words ...string) error
	// Hash returns the PHC string of the password, or ErrBusy.
	Hash(ctx context.Context, password string) (Secret, error)
}

// PasswordError says which rule refused a new password.
type PasswordError struct{ Rule PasswordRule }

// PasswordRule is one rule for new passwords.
type PasswordRule string

// The rules for new passwords (NIST SP 800-63B-4 §3.1.1.2).
const (
	PasswordTooShort PasswordRule = "too_short"
	PasswordTooLong  PasswordRule = "too_long"
	PasswordCommon   PasswordRule = "common"
	PasswordHasName  PasswordRule = "has_name"
	PasswordNotText  PasswordRule = "not_text"
)

// Error names the rule.
func (e *PasswordError) Error() string { return "the password is refused: " + string(e.Rule) }
