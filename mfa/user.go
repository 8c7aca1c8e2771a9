package mfa

import (
	"encoding/base64"
	"slices"
	"time"
)

// UserID identifies a user. It is opaque and never changes.
type UserID string

// CredentialID identifies one credential of one user.
type CredentialID string

// BackupCodesID is the credential of a user's one set of backup codes. It is the
// same for every set, so that a proof made with a code still stands after the
// set was replaced in the same session.
const BackupCodesID CredentialID = "backup-codes"

// Limits per user (behaviour.md §5).
const (
	MaxPasskeys = 20
	MaxTOTP     = 5
	// MaxAddresses is how many e-mail addresses, and how many numbers, may be factors.
	MaxAddresses = 3
	MaxSessions  = 20
	MaxHalfDone  = 100 // sign-ins under way
	MaxName      = 64  // code points of a credential's name
	CodesPerSet  = 10
)

// User is one record: who the person is at their source, and their factors.
// Stores seal it whole. A User read from a store must not be changed by the
// reader; changes go through Users.UpdateUser.
type User struct {
	ID     UserID `json:"id"`
	Handle []byte `json:"handle"` // WebAuthn user handle: random, no personal data

	Source      string `json:"source"`  // identity source, for example "local"
	Subject     string `json:"subject"` // the source's own name for the user; unique within it
	Name        string `json:"name"`    // user name, normalised by its source
	DisplayName string `json:"display_name,omitempty"`
	Email       string `json:"email,omitempty"`
	// EmailVerified says that the person proved the mailbox. Without it the
	// address grants nothing (rule B38).
	EmailVerified bool `json:"email_verified,omitempty"`
	// EmailChanged is when the person put Email in place of another address, or of
	// none: it recovers nothing for a while (AC-165).
	EmailChanged  time.Time `json:"email_changed,omitzero"`
	Phone         string    `json:"phone,omitempty"`        // E.164
	PhoneChanged  time.Time `json:"phone_changed,omitzero"` // EmailChanged of the number
	PhoneVerified bool      `json:"phone_verified,omitempty"`
	Groups        []string  `json:"groups,omitempty"`
	// Organizations are those that the user is a member of by hand or by
	// invitation. Whoever has a verified address of an organization's domain is one
	// besides.
	Organizations []OrganizationID `json:"organizations,omitempty"`
	// SourceOrganizations are those that the identity source said, at the last sign-in or
	// confirmation, that the user is a member of. They go when it does not say so any
	// more, and those given by hand stay.
	SourceOrganizations []OrganizationID `json:"source_organizations,omitempty"`
	// Admin and Auditor are the roles over the whole gateway, AdminOf over the members of
	// those organizations.
	Admin    bool             `json:"admin,omitempty"`
	Auditor  bool             `json:"auditor,omitempty"`
	AdminOf  []OrganizationID `json:"admin_of,omitempty"`
	Disabled bool             `json:"disabled,omitempty"`
	// Locked are the factors, and Password, that failed attempts stopped until an
	// administrator unlocks them. It only shows: the counters decide.
	Locked []Kind `json:"locked,omitempty"`
	// Generation grows with every change that ends all sessions. A session of an
	// older one is worth nothing, even where it was being made at that moment.
	Generation int    `json:"generation,omitempty"`
	Password   Secret `json:"password,omitempty"` // PHC string; empty: no password yet

	// Link is the challenge of the newest invitation or reset link; an older one
	// is worth nothing.
	Link string `json:"link,omitempty"`

	Created     time.Time `json:"created"`
	FirstSignIn time.Time `json:"first_sign_in,omitzero"` // zero: the next sign-in is a registration (rule B7)
	// Imported is when the user came from another system; zero: they did not. Their first
	// sign-in here is no registration.
	Imported   time.Time `json:"imported,omitzero"`
	LastSignIn time.Time `json:"last_sign_in,omitzero"`
	LastHost   string    `json:"last_host,omitempty"` // of the last sign-in
	// Language is that of the last sign-in, for letters that no page asks for.
	Language string `json:"language,omitempty"`

	Credentials []Credential `json:"credentials,omitempty"`
	// EverEnrolled stays true when the last factor is gone: grace is for those
	// who never had one (rule B10).
	EverEnrolled bool `json:"ever_enrolled,omitempty"`

	OptedOut bool `json:"opted_out,omitempty"` // rule B19
	// SkippedPrompt is the prompt that the user skipped; it holds until the
	// policy's prompt changes (rule B9). SkippedCodes is the same for codes.
	SkippedPrompt string `json:"skipped_prompt,omitempty"`
	SkippedCodes  bool   `json:"skipped_codes,omitempty"`
	// GraceStarted and EnrollmentOpened are set at the first prompt; an
	// administrator's reset opens enrollment anew (rules B10, B17).
	GraceStarted     time.Time `json:"grace_started,omitzero"`
	EnrollmentOpened time.Time `json:"enrollment_opened,omitzero"`
	// EnrollmentShut is when the user removed the last factor under a requirement. An
	// open window that does not begin later than that is none (rule B34).
	EnrollmentShut time.Time `json:"enrollment_shut,omitzero"`

	Remembered []RememberedDevice `json:"remembered,omitempty"` // rule B29

	AppTokens []AppToken `json:"app_tokens,omitempty"` // oldest first

	Notices []Notice `json:"notices,omitempty"` // not seen yet, oldest first
}

// endAll ends every session of the user, every browser that stands for a second factor
// and every app token, whatever requests are under way.
func (u *User) endAll() {
	u.endSessions()
	u.AppTokens = nil
}

// endSessions is endAll for who ends their own sessions elsewhere: app tokens stand beside
// them on the account page, and each is revoked by itself.
func (u *User) endSessions() {
	u.Generation++
	u.Remembered = nil
}

// Credential binds one authenticator to a user. The fields are those that every
// rule may look at; Data belongs to the factor's package alone.
type Credential struct {
	ID       CredentialID `json:"id"`
	Kind     Kind         `json:"kind"`
	Name     string       `json:"name,omitempty"` // chosen by the person
	Created  time.Time    `json:"created"`
	LastUsed time.Time    `json:"last_used,omitzero"` // last verification; set-up does not count (rule B13)
	Data     Secret       `json:"data"`

	// Unique is a name that no two users may share: the authenticator's own
	// credential ID. Empty: none.
	Unique string `json:"unique,omitempty"`
	// RPID is the relying party that a passkey was made for; it works nowhere else.
	RPID string `json:"rp_id,omitempty"`
	// Address is where codes are sent: an e-mail address, or a number as E.164.
	Address string `json:"address,omitempty"`
	// Step is the newest time step that was accepted of an authenticator app; a
	// step at or before it is a replay (RFC 6238 §5.2).
	Step int64 `json:"step,omitempty"`
	// Digits is how many an authenticator app's codes have; 0: six.
	Digits int `json:"digits,omitempty"`
	// Left counts the unused backup codes.
	Left int `json:"left,omitempty"`
}

// UniqueKeys returns the names under which at most one user may stand. Stores
// maintain an index of them in the same write as the record.
func (u *User) UniqueKeys() []string {
	keys := []string{SubjectKey(u.Source, u.Subject)}
	if u.Source != LocalSource && u.Name != "" {
		keys = append(keys, NameKey(u.Name)) // a local account's subject is its name
	}
	// Whoever proved an address signs in with it (rule B38: nobody else does).
	if u.Source == LocalSource && u.Email != "" && u.EmailVerified {
		keys = append(keys, AddressKey(Email, u.Email))
	}
	if u.Source == LocalSource && u.Phone != "" && u.PhoneVerified {
		keys = append(keys, AddressKey(SMS, u.Phone))
	}
	if len(u.Handle) > 0 {
		keys = append(keys, HandleKey(u.Handle))
	}
	for _, c := range u.Credentials {
		if c.Unique != "" {
			keys = append(keys, CredentialKey(c.Unique))
		}
	}
	for _, t := range u.AppTokens {
		keys = append(keys, AppTokenKey(t.ID))
	}
	return keys
}

// SubjectKey is the unique key of a source's subject.
func SubjectKey(source, subject string) string { return "subject:" + source + ":" + subject }

// AddressKey is the unique key of an address that signs in.
func AddressKey(channel Kind, address string) string { return string(channel) + ":" + address }

// CredentialKey is the unique key of an authenticator's own credential ID.
func CredentialKey(unique string) string { return "credential:" + unique }

// HandleKey is the unique key of a WebAuthn user handle. A passkey that signs in
// by itself names its user by nothing else.
func HandleKey(handle []byte) string {
	return "handle:" + base64.RawURLEncoding.EncodeToString(handle)
}

// Credential returns the user's credential of that ID, or nil.
func (u *User) Credential(id CredentialID) *Credential {
	for i := range u.Credentials {
		if u.Credentials[i].ID == id {
			return &u.Credentials[i]
		}
	}
	return nil
}

// reaches reports whether the address is a factor of the user already.
func (u *User) reaches(k Kind, address string) bool {
	return address != "" && slices.ContainsFunc(u.Credentials, func(c Credential) bool { return c.Kind == k && c.Address == address })
}

// Subject is what decisions and apps may know of a user: no secret is in it. It
// is shared between requests and must not be changed.
type Subject struct {
	ID            UserID
	Source        string
	SourceSubject string // the source's own name for the person (Identity.Subject)
	Name          string
	DisplayName   string
	Email         string // verified, or empty (rule B38)
	Groups        []string
	Organizations []OrganizationID // by hand, by invitation, or because the source says so
	Admin         bool
	Disabled      bool
	Generation    int
	OptedOut      bool
	EverEnrolled  bool
	SkippedPrompt string
	SkippedCodes  bool
	GraceStarted  time.Time
	Held          []Held
}

// Held is one credential as decisions see it.
type Held struct {
	ID       CredentialID
	Kind     Kind
	RPID     string
	Address  string
	Left     int
	Digits   int // of an app's codes; 0: six
	LastUsed time.Time
}

// Enrolled reports whether the credential is one to verify with. A set of backup
// codes that is used up is not.
func (h Held) Enrolled() bool { return h.Kind != BackupCode || h.Left > 0 }

// memberships returns the organizations that the user is a member of by hand, by
// invitation, or because the source says so, each once.
func (u *User) memberships() []OrganizationID {
	if len(u.SourceOrganizations) == 0 {
		return u.Organizations
	}
	list := slices.Clone(u.Organizations)
	for _, id := range u.SourceOrganizations {
		if !slices.Contains(list, id) {
			list = append(list, id)
		}
	}
	return list
}

// AsSubject returns the secret-free view of u.
func (u *User) AsSubject() *Subject {
	s := &Subject{
		ID: u.ID, Source: u.Source, SourceSubject: u.Subject, Name: u.Name, DisplayName: u.DisplayName,
		Groups: u.Groups, Organizations: u.memberships(), Admin: u.Admin, Disabled: u.Disabled, Generation: u.Generation, OptedOut: u.OptedOut,
		EverEnrolled: u.EverEnrolled, SkippedPrompt: u.SkippedPrompt,
		SkippedCodes: u.SkippedCodes, GraceStarted: u.GraceStarted,
	}
	if u.EmailVerified {
		s.Email = u.Email
	}
	for _, c := range u.Credentials {
		s.Held = append(s.Held, Held{ID: c.ID, Kind: c.Kind, RPID: c.RPID, Address: c.Address, Left: c.Left, Digits: c.Digits, LastUsed: c.LastUsed})
	}
	return s
}

// held returns the subject's credential of that ID.
func (s *Subject) held(id CredentialID) (Held, bool) {
	for i := range s.Held {
		if s.Held[i].ID == id {
			return s.Held[i], true
		}
	}
	return Held{}, false
}
