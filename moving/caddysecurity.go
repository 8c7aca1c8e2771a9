package moving

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/secondgate/secondgate/mfa"
)

// authcrunchUser is a user of go-authcrunch's users.json, which caddy-security keeps.
type authcrunchUser struct {
	Username       string             `json:"username"`
	Disabled       bool               `json:"disabled"`
	Name           *authcrunchName    `json:"name"`
	EmailAddress   *authcrunchEmail   `json:"email_address"`
	EmailAddresses []*authcrunchEmail `json:"email_addresses"`
	Passwords      []*struct {
		Hash     string `json:"hash"`
		Disabled bool   `json:"disabled"`
		Expired  bool   `json:"expired"`
	} `json:"passwords"`
	MFATokens []*authcrunchToken `json:"mfa_tokens"`
	Roles     []*struct {
		Name         string `json:"name"`
		Organization string `json:"organization"`
	} `json:"roles"`
	APIKeys    []json.RawMessage `json:"api_keys"`
	PublicKeys []json.RawMessage `json:"public_keys"`
}

type authcrunchName struct {
	First string `json:"first"`
	Last  string `json:"last"`
	Alias bool   `json:"alias"`
}

type authcrunchEmail struct {
	Address string `json:"address"`
}

type authcrunchToken struct {
	Type             string            `json:"type"`
	Comment          string            `json:"comment"`
	Algorithm        string            `json:"algorithm"`
	Secret           string            `json:"secret"`
	Period           int               `json:"period"`
	Digits           int               `json:"digits"`
	Expired          bool              `json:"expired"`
	Disabled         bool              `json:"disabled"`
	Parameters       map[string]string `json:"parameters"`
	Flags            map[string]bool   `json:"flags"`
	SignatureCounter uint32            `json:"signature_counter"`
}

// silent are fields of a user that say nothing that somebody would miss, or that are read.
var silent = []string{
	"id", "human", "username", "disabled", "name", "names", "email_address", "email_addresses", "passwords", "mfa_tokens", "roles", "api_keys", "public_keys",
	"lockout", "mfa_failed_attempts", "created", "last_modified", "revision", "registration",
}

// caddySecurity reads users.json of caddy-security (go-authcrunch).
func caddySecurity(f file, r io.Reader, o Options, yield func(Person) bool) error {
	data, err := f.whole(r, maxWhole)
	if err != nil {
		return err
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if at := firstInvalid(data); at >= 0 {
		return &Error{f.name, 1 + bytes.Count(data[:at], []byte{'\n'}), "it is no UTF-8 text"}
	}
	d := json.NewDecoder(bytes.NewReader(data))
	line, counted := 1, 0
	here := func() int {
		at := int(d.InputOffset())
		line += bytes.Count(data[counted:at], []byte{'\n'})
		counted = at
		return line
	}
	bad := func(why string) error { return &Error{f.name, here(), why} }
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return bad("it is no JSON object; the file is users.json of caddy-security")
	}
	found := false
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return bad("it is no JSON")
		}
		if key != "users" {
			if err := d.Decode(new(json.RawMessage)); err != nil {
				return bad("it is no JSON")
			}
			continue
		}
		if found {
			return bad("users stands twice")
		}
		found = true
		if t, err := d.Token(); err != nil || t != json.Delim('[') {
			return bad("users is no list")
		}
		for d.More() {
			var raw json.RawMessage
			if err := d.Decode(&raw); err != nil {
				return bad("a user cannot be read")
			}
			if len(raw) > maxLine {
				return bad("a user has more than 256 KiB; is it the right file?")
			}
			p, why := authcrunchPerson(raw, o)
			if why != "" {
				return bad(why)
			}
			p.File, p.Line = f.name, here()
			if !yield(p) {
				return errStopped
			}
		}
		if _, err := d.Token(); err != nil {
			return bad("it is no JSON")
		}
	}
	if _, err := d.Token(); err != nil {
		return bad("it is no JSON")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return bad("something stands behind the object")
	}
	if !found {
		return &Error{f.name, 0, "it has no users; the file is users.json of caddy-security"}
	}
	return nil
}

func authcrunchPerson(raw []byte, o Options) (p Person, why string) {
	var u authcrunchUser
	if err := json.Unmarshal(raw, &u); err != nil {
		return p, jsonUserWhy(err)
	}
	if strings.TrimSpace(u.Username) == "" {
		return p, "a user has no username"
	}
	p.Name, p.Disabled = u.Username, u.Disabled
	if n := u.Name; n != nil {
		p.DisplayName = strings.TrimSpace(n.First + " " + n.Last)
		if n.Alias {
			p.DisplayName = n.Last
		}
	}
	var addresses []string
	for _, e := range append([]*authcrunchEmail{u.EmailAddress}, u.EmailAddresses...) {
		if e != nil && e.Address != "" && !slices.Contains(addresses, e.Address) {
			addresses = append(addresses, e.Address)
		}
	}
	p.addresses(addresses, o.EmailsVerified)
	for _, w := range u.Passwords {
		if w != nil && !w.Disabled && !w.Expired {
			p.Password = mfa.Secret(w.Hash)
			break
		}
	}
	for _, r := range u.Roles {
		if r == nil || r.Name == "" {
			continue
		}
		role := r.Name
		if r.Organization != "" {
			role = r.Organization + "/" + r.Name
		}
		p.Groups = append(p.Groups, role)
		if role == "authp/admin" {
			p.lose("administrator's role", "nobody becomes one by a file; the group authp/admin says nothing here: secondgate mfa users role NAME admin")
		}
	}
	for i, t := range u.MFATokens {
		if t != nil {
			p.token(i, t, o)
		}
	}
	if n := len(u.APIKeys); n > 0 {
		p.lose(fmt.Sprintf("%d API keys", n), "they are of another kind; the person makes app tokens on the account page")
	}
	if n := len(u.PublicKeys); n > 0 {
		p.lose(fmt.Sprintf("%d SSH or GPG keys", n), "this gateway keeps none")
	}
	p.unknown(raw)
	return p, ""
}

// unknown says which other fields the user has.
func (p *Person) unknown(raw []byte) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil {
		return
	}
	var names []string
	for name, value := range fields {
		if text := string(value); !slices.Contains(silent, name) && text != "null" && text != "[]" && text != `""` {
			names = append(names, shortened(name))
		}
	}
	if len(names) > 0 {
		slices.Sort(names)
		p.lose("fields "+strings.Join(names[:min(len(names), 10)], ", "), "an account here has no such fields")
	}
}

func jsonUserWhy(err error) string {
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) && kind.Field != "" {
		return "the field " + shortened(kind.Field) + " of a user is of another type"
	}
	return "a user cannot be read"
}

func (p *Person) token(i int, t *authcrunchToken, o Options) {
	name := t.Comment
	item := "authenticator app"
	if t.Type == "u2f" {
		item = "passkey"
	}
	if name != "" {
		item += fmt.Sprintf(" %q", shortened(name))
	}
	if t.Disabled || t.Expired {
		p.lose(item, "it is switched off there")
		return
	}
	switch t.Type {
	case "totp":
		// The secret is used as it stands there, letter for letter; the app was given it
		// in base32.
		p.Apps = append(p.Apps, mfa.MovedApp{Name: name, Secret: mfa.Secret(t.Secret), Algorithm: t.Algorithm, Digits: t.Digits, Period: t.Period})
	case "u2f":
		key, why := t.passkey(o)
		if why != "" {
			p.lose(item, why+"; the person sets it up again on the account page")
			return
		}
		p.Passkeys = append(p.Passkeys, key)
	default:
		p.lose(fmt.Sprintf("second factor no. %d", i+1), "it is of a kind that is not known here")
	}
}

func (t *authcrunchToken) passkey(o Options) (key mfa.MovedPasskey, why string) {
	par := t.Parameters
	key = mfa.MovedPasskey{Name: t.Comment, SignCount: t.SignatureCounter, Unverified: !t.Flags["UV"]}
	if list := par["u2f_transports"]; list != "" {
		key.Transports = strings.Split(list, ",")
	}
	var ok bool
	if key.ID, ok = base64Bytes(par["u2f_id"]); !ok {
		return key, "its ID cannot be read"
	}
	hash, err := hex.DecodeString(par["rp_id_hash"])
	if err != nil || len(hash) != sha256.Size {
		return key, "the file does not say for which domain it was made"
	}
	key.RPIDHash = hash
	for _, id := range o.RPIDs {
		if id = strings.ToLower(id); sha256.Sum256([]byte(id)) == [sha256.Size]byte(hash) {
			key.RPID = id
		}
	}
	switch par["key_algo"] {
	case "es256":
		x, err := base64.StdEncoding.DecodeString(par["curve_xcoord"])
		y, err2 := base64.StdEncoding.DecodeString(par["curve_ycoord"])
		if err != nil || err2 != nil || len(x) != 32 || len(y) != 32 {
			return key, "its public key cannot be read"
		}
		key.PublicKey = coseES256(x, y)
	case "rs256":
		n, err := base64.StdEncoding.DecodeString(par["modulus"])
		if n = bytes.TrimLeft(n, "\x00"); err != nil || len(n) < 256 || len(n) > 1024 {
			return key, "its public key cannot be read"
		}
		key.PublicKey = coseRS256(n)
	default:
		return key, "its public key is of a kind that is not known here"
	}
	return key, ""
}
