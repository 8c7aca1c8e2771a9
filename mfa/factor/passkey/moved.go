package passkey

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/secondgate/secondgate/mfa"
)

// past is what a credential's Data says beside the library's record, of a passkey that
// was set up at another system. Of our own it is the zero value.
type past struct {
	// Moved says that the authenticator was given the user handle of another system.
	Moved bool `json:"movedIn,omitempty"`
	// Unseen says that it has not signed here yet. What the other system kept of its
	// backup flag is not believed before: several keep false for what they never asked.
	Unseen bool `json:"unseen,omitempty"`
}

func pastOf(data mfa.Secret) (o past, err error) {
	if err := json.Unmarshal(data, &o); err != nil {
		return past{}, fmt.Errorf("reading a passkey: damaged data: %w", mfa.ErrRejected)
	}
	return o, nil
}

// encode writes a credential's Data.
func encode(c *webauthn.Credential, o past) (mfa.Secret, error) {
	data, err := json.Marshal(struct {
		*webauthn.Credential
		past
	}{c, o})
	if err != nil {
		return nil, fmt.Errorf("encoding a passkey: %w", err)
	}
	return data, nil
}

// aaguidSize is the length of an authenticator's model.
const aaguidSize = 16

// Adopt makes the credential of a passkey that was set up at another system for the same
// relying party. The key must be one that could have been set up here. Nobody knows
// whether the other system looked at it well; what protects here is that each signature is
// checked as ever, with user verification.
func (*Factor) Adopt(in mfa.MovedPasskey) (*mfa.Credential, error) {
	refuse := func(why string) (*mfa.Credential, error) { return nil, &mfa.MoveError{Why: why} }
	switch n := len(in.ID); {
	case n < minCredentialID:
		return refuse("its ID is so short that it can be guessed")
	case n > maxCredentialID:
		return refuse("its ID is longer than any is")
	case in.RPID == "":
		return refuse("nobody knows for which domain it was made")
	case len(in.AAGUID) != 0 && len(in.AAGUID) != aaguidSize:
		return refuse("its AAGUID is damaged")
	case len(in.PublicKey) > 2048 || !usableKey(in.PublicKey):
		return refuse("its public key is damaged, or of a kind that is not taken here")
	}
	c := &webauthn.Credential{
		ID: in.ID, PublicKey: in.PublicKey,
		AttestationType: "none", AttestationFormat: "none",
		Flags:         webauthn.CredentialFlags{UserPresent: true, UserVerified: true},
		Authenticator: webauthn.Authenticator{AAGUID: in.AAGUID, SignCount: in.SignCount},
	}
	for _, t := range in.Transports {
		switch t := protocol.AuthenticatorTransport(t); t {
		case protocol.USB, protocol.NFC, protocol.BLE, protocol.SmartCard, protocol.Hybrid, protocol.Internal:
			c.Transport = append(c.Transport, t)
		}
		// Any other is a hint that browsers pass over.
	}
	data, err := encode(c, past{Moved: true, Unseen: true})
	if err != nil {
		return nil, err
	}
	return &mfa.Credential{Kind: mfa.Passkey, Data: data, Unique: base64.RawURLEncoding.EncodeToString(in.ID), RPID: in.RPID}, nil
}

// welcome lets a passkey of another system sign for a user who is known. Its authenticator
// names the user by the handle of that system, which nobody here knows and no signature
// covers: that the credential is one of this user's, by its ID and its key, decides
// (§7.2, step 6).
func (p *person) welcome(parsed *protocol.ParsedCredentialAssertionData) {
	for i, o := range p.pasts {
		if o.Moved && bytes.Equal(p.credentials[i].ID, parsed.RawID) {
			parsed.Response.UserHandle = nil
		}
	}
	p.meet(parsed)
}

// meet takes the backup flag of a passkey that signs here for the first time as the
// authenticator signs it; from then on it must stay so.
func (p *person) meet(parsed *protocol.ParsedCredentialAssertionData) {
	for i, o := range p.pasts {
		if o.Unseen && bytes.Equal(p.credentials[i].ID, parsed.RawID) {
			p.credentials[i].Flags.BackupEligible = parsed.Response.AuthenticatorData.Flags.HasBackupEligible()
		}
	}
}

var _ mfa.PasskeyMover = (*Factor)(nil)
