package passkey

import (
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"testing"

	"github.com/go-webauthn/webauthn/protocol"

	"github.com/secondgate/secondgate/mfa"
)

// vectorsJSON holds test vectors of Web Authentication Level 3, section 16, as
// the W3C published them: hexadecimal, under the names of their anchors.
//
//go:embed testdata/webauthn3-section16.json
var vectorsJSON []byte

type hexBytes []byte

func (h *hexBytes) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	raw, err := hex.DecodeString(s)
	*h = raw
	return err
}

type vector struct {
	Registration struct {
		Challenge, ClientDataJSON, AttestationObject, CredentialID hexBytes
	}
	Authentication struct {
		Challenge, ClientDataJSON, AuthenticatorData, Signature hexBytes
	}
}

// The vectors leave user verification and embedding to the relying party. Ours
// requires the one and refuses the other, so that some of them are refused.
func TestFactor_WebAuthnSection16Vectors(t *testing.T) {
	var vectors map[string]vector
	if err := json.Unmarshal(vectorsJSON, &vectors); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name             string
		registers, signs bool
		why              string
	}{
		{"packed-es256", true, true, ""},
		{"packed-self-es256", true, false, "the user was not verified when it signed"},
		{"none-es256", false, false, "the user was never verified"},
		{"none-es256-crossorigin", false, false, "it was embedded in another origin"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v, ok := vectors[tc.name]
			if !ok {
				t.Fatal("there is no such vector")
			}
			at := &mfa.Place{Origin: "https://example.org", Host: "example.org", RPID: "example.org"}
			r := newRig(t)
			r.at = at
			b64 := base64.RawURLEncoding.EncodeToString
			answer := func(response map[string]any) []byte {
				id := b64(v.Registration.CredentialID)
				out, err := json.Marshal(map[string]any{"id": id, "rawId": id, "type": "public-key", "response": response})
				if err != nil {
					t.Fatal(err)
				}
				return out
			}

			_, kept := r.beginEnrollment()
			c, err := r.f.FinishEnrollment(at, r.user, withChallenge(t, kept, v.Registration.Challenge), answer(map[string]any{
				"clientDataJSON":    b64(v.Registration.ClientDataJSON),
				"attestationObject": b64(v.Registration.AttestationObject),
			}))
			if !tc.registers {
				wantRejected(t, tc.why, err)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			c.ID = "c1"
			r.user.Credentials = []mfa.Credential{*c}

			_, kept = r.beginVerification()
			id, _, err := r.f.FinishVerification(at, r.user, withChallenge(t, kept, v.Authentication.Challenge), answer(map[string]any{
				"clientDataJSON":    b64(v.Authentication.ClientDataJSON),
				"authenticatorData": b64(v.Authentication.AuthenticatorData),
				"signature":         b64(v.Authentication.Signature),
			}))
			if !tc.signs {
				wantRejected(t, tc.why, err)
				return
			}
			if err != nil || id != "c1" {
				t.Errorf("FinishVerification = %q, %v", id, err)
			}
		})
	}
}

// withChallenge puts the vector's challenge in place of the random one.
func withChallenge(t *testing.T, kept []byte, challenge []byte) []byte {
	t.Helper()
	var s state
	if err := json.Unmarshal(kept, &s); err != nil {
		t.Fatal(err)
	}
	s.Session.Challenge = protocol.URLEncodedBase64(challenge).String()
	out, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
