package moving

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/secondgate/secondgate/mfa"
)

// jsonlVersion is that of the format. Every line says it, so that a file can be cut.
const jsonlVersion = 1

// jsonUser is one line of the JSON-lines format. docs/moving-in.md is its description.
type jsonUser struct {
	Version       int           `json:"v"`
	Name          string        `json:"name"`
	DisplayName   string        `json:"display_name"`
	Email         string        `json:"email"`
	EmailVerified bool          `json:"email_verified"`
	Phone         string        `json:"phone"`
	Groups        []string      `json:"groups"`
	Organizations []string      `json:"organizations"`
	Disabled      bool          `json:"disabled"`
	PasswordHash  string        `json:"password_hash"`
	Handle        string        `json:"handle"` // base64url
	TOTP          []jsonApp     `json:"totp"`
	Passkeys      []jsonPasskey `json:"passkeys"`
	BackupCodes   string        `json:"backup_codes"` // base64url
}

type jsonApp struct {
	Name      string `json:"name"`
	Secret    string `json:"secret"` // base32
	Algorithm string `json:"algorithm"`
	Digits    int    `json:"digits"`
	Period    int    `json:"period"`
}

type jsonPasskey struct {
	Name       string   `json:"name"`
	ID         string   `json:"id"`         // base64url
	PublicKey  string   `json:"public_key"` // base64url, COSE
	RPID       string   `json:"rp_id"`
	SignCount  uint32   `json:"sign_count"`
	AAGUID     string   `json:"aaguid"`
	Transports []string `json:"transports"`
	Verified   *bool    `json:"verified"`
}

// jsonLines reads one user a line. A field that is not known is an error: what a newer
// version says of somebody must not be passed over.
func jsonLines(f file, r io.Reader, o Options, yield func(Person) bool) error {
	return f.lines(r, false, func(line int, text string) error {
		var u jsonUser
		d := json.NewDecoder(strings.NewReader(text))
		d.DisallowUnknownFields()
		if err := d.Decode(&u); err != nil {
			return &Error{f.name, line, jsonWhy(err)}
		}
		if _, err := d.Token(); !errors.Is(err, io.EOF) {
			return &Error{f.name, line, "something stands behind the object; one user is one line"}
		}
		p, why := u.person(o)
		if why != "" {
			return &Error{f.name, line, why}
		}
		p.File, p.Line = f.name, line
		if !yield(p) {
			return errStopped
		}
		return nil
	})
}

// jsonWhy says what is wrong, without what stands there: only field names are repeated.
func jsonWhy(err error) string {
	if field, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return "there is no field " + shortened(field) + " in version 1 of the format"
	}
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) && kind.Field != "" {
		return "the field " + shortened(kind.Field) + " is of another type"
	}
	return "it is no JSON object; one user is one line"
}

func (u *jsonUser) person(o Options) (Person, string) {
	p := Person{Newcomer: mfa.Newcomer{
		Name: u.Name, DisplayName: u.DisplayName, Email: u.Email, EmailVerified: u.EmailVerified && o.EmailsVerified, Phone: u.Phone,
		Groups: u.Groups, Disabled: u.Disabled, Password: mfa.Secret(u.PasswordHash),
	}}
	for _, id := range u.Organizations {
		p.Organizations = append(p.Organizations, mfa.OrganizationID(id))
	}
	var ok bool
	if u.Version != jsonlVersion {
		return p, `it says no version that is known; write "v":1`
	}
	if strings.TrimSpace(u.Name) == "" {
		return p, "it has no name"
	}
	if u.Handle != "" {
		if p.Handle, ok = base64Bytes(u.Handle); !ok {
			return p, "handle is no base64url"
		}
	}
	if u.BackupCodes != "" {
		if p.BackupCodes, ok = base64Bytes(u.BackupCodes); !ok {
			return p, "backup_codes is no base64url"
		}
	}
	for _, a := range u.TOTP {
		secret, ok := base32Secret(a.Secret)
		if !ok {
			return p, "a secret of totp is no base32"
		}
		p.Apps = append(p.Apps, mfa.MovedApp{Name: a.Name, Secret: secret, Algorithm: a.Algorithm, Digits: a.Digits, Period: a.Period})
	}
	for _, k := range u.Passkeys {
		key, why := k.passkey()
		if why != "" {
			return p, why
		}
		p.Passkeys = append(p.Passkeys, key)
	}
	return p, ""
}

func (k *jsonPasskey) passkey() (key mfa.MovedPasskey, why string) {
	key = mfa.MovedPasskey{Name: k.Name, RPID: k.RPID, SignCount: k.SignCount, Transports: k.Transports, Unverified: k.Verified != nil && !*k.Verified}
	var ok, okKey, okModel bool
	key.ID, ok = base64Bytes(k.ID)
	key.PublicKey, okKey = base64Bytes(k.PublicKey)
	key.AAGUID, okModel = aaguid(k.AAGUID)
	switch {
	case !ok:
		return key, "the id of a passkey is no base64url"
	case !okKey:
		return key, "the public_key of a passkey is no base64url"
	case k.RPID == "":
		return key, "a passkey has no rp_id"
	case !okModel:
		return key, "the aaguid of a passkey is no UUID"
	}
	return key, ""
}

// aaguid reads a UUID; nothing, or one of zeros, is no model.
func aaguid(text string) ([]byte, bool) {
	if text == "" {
		return nil, true
	}
	data, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
	if err != nil || len(data) != 16 {
		return nil, false
	}
	if bytes.Equal(data, make([]byte, 16)) {
		return nil, true
	}
	return data, true
}
