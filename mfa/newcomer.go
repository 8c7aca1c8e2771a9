package mfa

import "time"

// Newcomer is a person as another system knew them, for Administration.Import. A role is
// not in it: nobody becomes an administrator by a file.
type Newcomer struct {
	Name        string `json:"name"`
	DisplayName string `json:"display_name,omitempty"`
	Email       string `json:"email,omitempty"`
	// EmailVerified says that the operator answers for it that the person proved the
	// address to the other system. Addresses sign in and make members (rule B38).
	EmailVerified bool             `json:"email_verified,omitempty"`
	Phone         string           `json:"phone,omitempty"`
	Groups        []string         `json:"groups,omitempty"`
	Organizations []OrganizationID `json:"organizations,omitempty"`
	Disabled      bool             `json:"disabled,omitempty"`
	// Handle is the WebAuthn user handle at the other system; empty: not known, and then
	// passkeys from there are second factors, and sign in by themselves no more.
	Handle []byte `json:"handle,omitempty"`
	// Password is a hash, as the other system wrote it.
	Password    Secret         `json:"password,omitempty"`
	Apps        []MovedApp     `json:"apps,omitempty"`
	Passkeys    []MovedPasskey `json:"passkeys,omitempty"`
	BackupCodes Secret         `json:"backup_codes,omitempty"` // Data of a set of this gateway's own
}

// MovedApp is an authenticator app that was set up at another system.
type MovedApp struct {
	Name      string `json:"name,omitempty"`
	Secret    Secret `json:"secret"`              // raw bytes
	Algorithm string `json:"algorithm,omitempty"` // "SHA1", "SHA256" or "SHA512"; empty: SHA1
	Digits    int    `json:"digits,omitempty"`    // 0: 6
	Period    int    `json:"period,omitempty"`    // seconds; 0: 30
}

// MovedPasskey is a passkey or a security key that was set up at another system.
type MovedPasskey struct {
	Name      string `json:"name,omitempty"`
	ID        []byte `json:"id"`
	PublicKey []byte `json:"public_key"` // COSE
	RPID      string `json:"rp_id,omitempty"`
	// RPIDHash is the SHA-256 of the relying party, from a system that kept no more; RPID
	// is empty then.
	RPIDHash   []byte   `json:"rp_id_hash,omitempty"`
	SignCount  uint32   `json:"sign_count,omitempty"`
	AAGUID     []byte   `json:"aaguid,omitempty"`
	Transports []string `json:"transports,omitempty"`
	// Unverified says that the key did not verify its user when it was last seen. Here it
	// has to.
	Unverified bool `json:"unverified,omitempty"`
}

// Verdict is what becomes of one thing in a move.
type Verdict string

// The verdicts.
const (
	Moves   Verdict = "moves"
	MovesIf Verdict = "moves_if" // with what Why says
	Lost    Verdict = "lost"     // Why says why, and what the person has to do
)

// MovedItem is one thing of a person, and what becomes of it.
type MovedItem struct {
	Item    string  `json:"item"` // "password", "authenticator app", "passkey Blue key"
	Verdict Verdict `json:"verdict"`
	Why     string  `json:"why,omitempty"`
}

// Arrival is what becomes of a person in a move.
type Arrival string

// The arrivals.
const (
	Arrives Arrival = "new"
	Here    Arrival = "here"    // moved before: nothing was changed
	Refused Arrival = "refused" // Why says why; nothing was changed
)

// Moved is what becomes of one person and of each thing of theirs.
type Moved struct {
	Name    string      `json:"name"`
	Arrival Arrival     `json:"arrival"`
	Why     string      `json:"why,omitempty"`
	Items   []MovedItem `json:"items,omitempty"`
}

// MoveError says why something of another system cannot be taken, for whoever moves. No
// secret is in it.
type MoveError struct{ Why string }

// Error says why.
func (e *MoveError) Error() string { return e.Why }

// PasswordMover is Passwords that takes hashes of other systems.
type PasswordMover interface {
	// Adopt says how a hash is taken: as it is (""), or with a note. Errors are
	// *MoveError. It computes no hash.
	Adopt(hash Secret) (note string, err error)
}

// AuthenticatorMover is an Authenticator that takes apps of other systems.
type AuthenticatorMover interface {
	// Adopt returns what a credential holds of the app, the number of digits of its codes,
	// and the newest step whose code somebody may have used at the other system by now.
	// Errors are *MoveError; note is what whoever moves should know.
	Adopt(app MovedApp, now time.Time) (data Secret, digits int, step int64, note string, err error)
}

// PasskeyMover is Passkeys that takes those of other systems.
type PasskeyMover interface {
	// Adopt returns a credential with Data, Unique and RPID set. Errors are *MoveError.
	Adopt(key MovedPasskey) (*Credential, error)
}

// BackupCodesMover is BackupCodes that takes sets that were read out of a gateway.
type BackupCodesMover interface {
	// Adopt says how many codes are left, or answers a *MoveError.
	Adopt(data Secret) (left int, err error)
}
