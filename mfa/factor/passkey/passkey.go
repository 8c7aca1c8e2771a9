package passkey

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/secondgate/secondgate/mfa"
)

const (
	// life is how long a ceremony may take.
	life = 5 * time.Minute
	// maxAnswer is the longest answer that is parsed.
	maxAnswer = 64 << 10
	// Bounds of an authenticator's credential ID: shorter ones can be guessed,
	// longer ones are against §7.1.
	minCredentialID = 16
	maxCredentialID = 1023
	// maxHandle is the longest user handle (WebAuthn §5.4.3).
	maxHandle = 64
	// Bounds of an RSA modulus in bits.
	minRSA = 2048
	maxRSA = 8192
)

// parameters are the algorithms that are offered, in the order of preference.
var parameters = []protocol.CredentialParameter{
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgES256},
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgEdDSA},
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgRS256},
}

// Config is what a Factor is made of. The zero value is ready for use.
type Config struct {
	// Name is what browsers may show as the name of the relying party; empty: its
	// ID.
	Name string
	Now  func() time.Time // nil: time.Now
}

// Factor carries out ceremonies. It is safe for concurrent use.
type Factor struct {
	name string
	now  func() time.Time
}

// New returns the factor.
func New(cfg Config) *Factor {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Factor{name: cfg.Name, now: cfg.Now}
}

// state is what waits on the server while a person touches their authenticator.
// It names the one place and purpose that it is good for.
type state struct {
	Purpose mfa.Purpose          `json:"purpose"`
	Origin  string               `json:"origin"`
	RPID    string               `json:"rp_id"`
	User    mfa.UserID           `json:"user"` // empty where the passkey has to say
	Expires time.Time            `json:"expires"`
	Session webauthn.SessionData `json:"session"`
}

// person shows one of our users to the library, with the passkeys that fit the
// place and no others.
type person struct {
	user        *mfa.User
	credentials []webauthn.Credential
	pasts       []past // of each of them
}

func (p *person) WebAuthnID() []byte                         { return p.user.Handle }
func (p *person) WebAuthnName() string                       { return p.user.Name }
func (p *person) WebAuthnCredentials() []webauthn.Credential { return p.credentials }
func (p *person) WebAuthnDisplayName() string {
	if p.user.DisplayName != "" {
		return p.user.DisplayName
	}
	return p.user.Name
}

// BeginEnrollment asks for a new passkey: user verification required,
// discoverable where the authenticator can, no attestation, and none of those
// that the user has here already.
func (f *Factor) BeginEnrollment(at *mfa.Place, u *mfa.User) (options, st []byte, err error) {
	rp, p, err := f.ceremony(at, u)
	if err != nil {
		return nil, nil, fmt.Errorf("beginning to set up a passkey: %w", err)
	}
	creation, session, err := rp.BeginRegistration(p,
		webauthn.WithCredentialParameters(parameters),
		webauthn.WithExclusions(webauthn.Credentials(p.credentials).CredentialDescriptors()),
		webauthn.WithRegistrationOrigin(at.Origin),
		webauthn.WithExtensions(webauthn.WithExtensionCredProps()),
	)
	if err != nil {
		return nil, nil, fmt.Errorf("beginning to set up a passkey: %w", err)
	}
	return f.begun(mfa.ForEnrollment, at, u.ID, creation, session)
}

// BeginVerification offers the user's passkeys that were made for this place's
// relying party. Where there is none the error is mfa.ErrNotAllowed.
func (f *Factor) BeginVerification(at *mfa.Place, u *mfa.User) (options, st []byte, err error) {
	rp, p, err := f.ceremony(at, u)
	if err != nil {
		return nil, nil, fmt.Errorf("beginning to verify a passkey: %w", err)
	}
	if len(p.credentials) == 0 {
		return nil, nil, fmt.Errorf("beginning to verify a passkey: none fits here: %w", mfa.ErrNotAllowed)
	}
	assertion, session, err := rp.BeginLogin(p, webauthn.WithLoginOrigin(at.Origin))
	if err != nil {
		return nil, nil, fmt.Errorf("beginning to verify a passkey: %w", err)
	}
	return f.begun(mfa.ForVerification, at, u.ID, assertion, session)
}

func (f *Factor) begun(purpose mfa.Purpose, at *mfa.Place, user mfa.UserID, options any, session *webauthn.SessionData) ([]byte, []byte, error) {
	shown, err := json.Marshal(options)
	if err != nil {
		return nil, nil, fmt.Errorf("encoding a ceremony's options: %w", err)
	}
	kept, err := json.Marshal(state{
		Purpose: purpose, Origin: at.Origin, RPID: at.RPID, User: user,
		Expires: f.now().Add(life), Session: *session,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("encoding a ceremony's state: %w", err)
	}
	return shown, kept, nil
}

// FinishEnrollment returns the new credential. Kind, Data, Unique and RPID are
// set; the caller gives ID, name and time, and the store sees to it that the
// Unique is nobody else's (§7.1, or somebody could take the place of a
// credential whose ID they know).
func (f *Factor) FinishEnrollment(at *mfa.Place, u *mfa.User, st, answer []byte) (*mfa.Credential, error) {
	rp, p, session, err := f.resume(mfa.ForEnrollment, at, u, st, answer)
	if err != nil {
		return nil, fmt.Errorf("setting up a passkey: %w", err)
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(answer)
	if err != nil {
		return nil, rejected("setting up a passkey", err)
	}
	if err := sameOrigin(&parsed.Response.CollectedClientData, at); err != nil {
		return nil, fmt.Errorf("setting up a passkey: %w", err)
	}
	made, err := rp.CreateCredential(p, *session, parsed)
	if err != nil {
		return nil, rejected("setting up a passkey", err)
	}
	if n := len(made.ID); n < minCredentialID || n > maxCredentialID {
		return nil, fmt.Errorf("setting up a passkey: credential ID of %d bytes: %w", n, mfa.ErrRejected)
	}
	// Without an attestation nobody has looked at the key yet. One that is no key
	// would lock its owner out at the next verification.
	if !usableKey(made.PublicKey) {
		return nil, fmt.Errorf("setting up a passkey: its public key is unusable: %w", mfa.ErrRejected)
	}
	unique := base64.RawURLEncoding.EncodeToString(made.ID)
	for i := range u.Credentials {
		if u.Credentials[i].Unique == unique {
			return nil, fmt.Errorf("setting up a passkey: it is set up already: %w", mfa.ErrRejected)
		}
	}
	data, err := json.Marshal(made)
	if err != nil {
		return nil, fmt.Errorf("encoding a passkey: %w", err)
	}
	return &mfa.Credential{Kind: mfa.Passkey, Data: data, Unique: unique, RPID: at.RPID}, nil
}

// FinishVerification returns the credential that signed and its Data with the
// new counter and flags. A counter that went back wraps mfa.ErrCloned as well as
// mfa.ErrRejected.
func (f *Factor) FinishVerification(at *mfa.Place, u *mfa.User, st, answer []byte) (mfa.CredentialID, mfa.Secret, error) {
	const doing = "verifying a passkey"
	rp, p, session, err := f.resume(mfa.ForVerification, at, u, st, answer)
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", doing, err)
	}
	parsed, err := readAssertion(doing, at, answer)
	if err != nil {
		return "", nil, err
	}
	p.welcome(parsed)
	proven, err := rp.ValidateLogin(p, *session, parsed)
	if err != nil {
		return "", nil, rejected(doing, err)
	}
	return signed(doing, at, u, proven)
}

// readAssertion reads the answer of an authenticator that signed at the place.
func readAssertion(doing string, at *mfa.Place, answer []byte) (*protocol.ParsedCredentialAssertionData, error) {
	parsed, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return nil, rejected(doing, err)
	}
	if err := sameOrigin(&parsed.Response.CollectedClientData, at); err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	return parsed, nil
}

// signed returns which of the user's credentials it was, and its new Data.
func signed(doing string, at *mfa.Place, u *mfa.User, proven *webauthn.Credential) (mfa.CredentialID, mfa.Secret, error) {
	if proven.Authenticator.CloneWarning {
		return "", nil, cloned(doing)
	}
	unique := base64.RawURLEncoding.EncodeToString(proven.ID)
	for i := range u.Credentials {
		c := &u.Credentials[i]
		if !fits(c, at) || c.Unique != unique {
			continue
		}
		o, err := pastOf(c.Data)
		if err != nil {
			return "", nil, err
		}
		o.Unseen = false
		data, err := encode(proven, o)
		return c.ID, data, err
	}
	return "", nil, fmt.Errorf("%s: it is not the user's: %w", doing, mfa.ErrRejected)
}

// Advance returns current with the counter and flags of a verification. It is
// cheap and pure: it runs inside the write. A counter that does not grow is
// mfa.ErrCloned, unless the authenticator counts nothing at all; data of another
// credential is mfa.ErrRejected.
func (*Factor) Advance(current, verified mfa.Secret) (mfa.Secret, error) {
	var now, next webauthn.Credential
	if err := json.Unmarshal(current, &now); err != nil {
		return nil, rejected("advancing a passkey", err)
	}
	if err := json.Unmarshal(verified, &next); err != nil {
		return nil, rejected("advancing a passkey", err)
	}
	if len(now.ID) == 0 || !bytes.Equal(now.ID, next.ID) || !bytes.Equal(now.PublicKey, next.PublicKey) {
		return nil, fmt.Errorf("advancing a passkey: another credential: %w", mfa.ErrRejected)
	}
	was, is := now.Authenticator.SignCount, next.Authenticator.SignCount
	if is <= was && (is != 0 || was != 0) {
		return nil, cloned("advancing a passkey")
	}
	now.Authenticator.SignCount = is
	now.Flags = next.Flags
	o, err := pastOf(current)
	if err != nil {
		return nil, err
	}
	o.Unseen = false
	return encode(&now, o)
}

// ceremony makes the relying party of the place, and the user as it knows them.
func (f *Factor) ceremony(at *mfa.Place, u *mfa.User) (*webauthn.WebAuthn, *person, error) {
	rp, err := f.relyingParty(at)
	if err != nil {
		return nil, nil, err
	}
	p, err := newPerson(at, u)
	if err != nil {
		return nil, nil, err
	}
	return rp, p, nil
}

// relyingParty makes the relying party of the place. Its ID need not be a suffix of
// the place's host: related origins (WebAuthn §5.11) share one, and whether a place
// is one of them is decided by the browser and by who made the place.
func (f *Factor) relyingParty(at *mfa.Place) (*webauthn.WebAuthn, error) {
	if !works(at) {
		return nil, fmt.Errorf("passkeys cannot work here: %w", mfa.ErrNotAllowed)
	}
	name := f.name
	if name == "" {
		name = at.RPID
	}
	timeout := webauthn.TimeoutConfig{Timeout: life, TimeoutUVD: life}
	rp, err := webauthn.New(&webauthn.Config{
		RPID:          at.RPID,
		RPDisplayName: name,
		RPOrigins:     []string{at.Origin},
		// Embedded in a page of another origin, a person cannot see whom they sign
		// in to.
		RPAllowCrossOrigin:    false,
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementPreferred,
			// Written into the session data, and checked from there: a browser in
			// which somebody lowered it sends an answer that is refused (AC-143).
			UserVerification: protocol.VerificationRequired,
		},
		Timeouts: webauthn.TimeoutsConfig{Login: timeout, Registration: timeout},
		// Password managers add outputs that nobody asked for; §7.1 and §7.2 let
		// us pass over them, and nothing of ours reads them.
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore,
	})
	if err != nil {
		return nil, fmt.Errorf("making a relying party: %w", err)
	}
	return rp, nil
}

// newPerson returns the user with the passkeys that fit the place.
func newPerson(at *mfa.Place, u *mfa.User) (*person, error) {
	if u == nil || len(u.Handle) == 0 || len(u.Handle) > maxHandle {
		return nil, errors.New("the user has no handle")
	}
	p := &person{user: u}
	for i := range u.Credentials {
		c := &u.Credentials[i]
		if !fits(c, at) {
			continue
		}
		var known webauthn.Credential
		if err := json.Unmarshal(c.Data, &known); err != nil || base64.RawURLEncoding.EncodeToString(known.ID) != c.Unique {
			return nil, errors.New("reading a passkey: damaged data")
		}
		known.Authenticator.CloneWarning = false // of this ceremony only
		o, err := pastOf(c.Data)
		if err != nil {
			return nil, err
		}
		p.credentials, p.pasts = append(p.credentials, known), append(p.pasts, o)
	}
	return p, nil
}

func works(at *mfa.Place) bool { return at != nil && at.RPID != "" && at.Origin != "" }

func fits(c *mfa.Credential, at *mfa.Place) bool {
	return c.Kind == mfa.Passkey && at.RPID != "" && c.RPID == at.RPID
}

// resume goes on with a ceremony of that user.
func (f *Factor) resume(purpose mfa.Purpose, at *mfa.Place, u *mfa.User, st, answer []byte) (*webauthn.WebAuthn, *person, *webauthn.SessionData, error) {
	if u == nil {
		return nil, nil, nil, fmt.Errorf("a ceremony of nobody: %w", mfa.ErrRejected)
	}
	session, err := f.kept(purpose, at, u.ID, st, answer)
	if err != nil {
		return nil, nil, nil, err
	}
	rp, p, err := f.ceremony(at, u)
	if err != nil {
		return nil, nil, nil, err
	}
	return rp, p, session, nil
}

// kept reads the state of a ceremony and holds it against where, what and whom it
// is finished for. Everything that does not agree is a rejection.
func (f *Factor) kept(purpose mfa.Purpose, at *mfa.Place, user mfa.UserID, st, answer []byte) (*webauthn.SessionData, error) {
	if len(answer) > maxAnswer {
		return nil, fmt.Errorf("an answer of %d bytes: %w", len(answer), mfa.ErrRejected)
	}
	if !works(at) {
		return nil, fmt.Errorf("passkeys cannot work here: %w: %w", mfa.ErrRejected, mfa.ErrNotAllowed)
	}
	var s state
	if err := json.Unmarshal(st, &s); err != nil {
		return nil, fmt.Errorf("reading a ceremony's state: %w", mfa.ErrRejected)
	}
	switch {
	case s.Purpose != purpose, s.User != user, s.Origin != at.Origin, s.RPID != at.RPID:
		// A challenge given for one purpose, person or host must not be good for
		// another (AC-139, AC-140).
		return nil, fmt.Errorf("the ceremony was begun for something else: %w", mfa.ErrRejected)
	case !f.now().Before(s.Expires):
		return nil, fmt.Errorf("the ceremony took too long: %w: %w", mfa.ErrRejected, mfa.ErrExpired)
	case s.Session.UserVerification != protocol.VerificationRequired, s.Session.RelyingPartyID != at.RPID,
		s.Session.Origin != at.Origin:
		return nil, fmt.Errorf("the ceremony's state is damaged: %w", mfa.ErrRejected)
	}
	return &s.Session, nil
}

// usableKey reports whether the COSE key is one of the algorithms that are
// offered. An RSA modulus is bounded from below, or it could be factored, and
// from above, or each verification with it would take seconds of ours.
func usableKey(cose []byte) bool {
	key, err := webauthncose.ParsePublicKey(cose)
	if err != nil {
		return false
	}
	switch k := key.(type) {
	case webauthncose.EC2PublicKeyData, webauthncose.OKPPublicKeyData:
		return true
	case webauthncose.RSAPublicKeyData:
		n := new(big.Int).SetBytes(k.Modulus).BitLen()
		return n >= minRSA && n <= maxRSA
	}
	return false
}

// sameOrigin compares the origin to the letter: browsers write it in one way, and
// the library folds case and default ports (AC-136).
func sameOrigin(data *protocol.CollectedClientData, at *mfa.Place) error {
	if data.Origin != at.Origin || data.CrossOrigin || data.TopOrigin != "" {
		return fmt.Errorf("another origin: %w", mfa.ErrRejected)
	}
	return nil
}

// rejected keeps the library's short reason for the log; it holds no secret, and
// whoever sent the answer sees mfa.ErrRejected alone. Its further information is
// left out: it repeats what was sent.
func rejected(doing string, err error) error {
	var e *protocol.Error
	if errors.As(err, &e) {
		return fmt.Errorf("%s: %s: %w", doing, e.Type, mfa.ErrRejected)
	}
	return fmt.Errorf("%s: malformed: %w", doing, mfa.ErrRejected)
}

func cloned(doing string) error {
	return fmt.Errorf("%s: %w: %w", doing, mfa.ErrRejected, mfa.ErrCloned)
}

var _ mfa.Passkeys = (*Factor)(nil)
