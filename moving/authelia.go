package moving

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/secondgate/secondgate/mfa"
)

// authelia is what Authelia's files say together: the users file, and the exports of
// "authelia storage user totp export" (also "csv" and "uri") and of "authelia storage user
// webauthn export". Which is which is seen in them; they are joined by user name.
type authelia struct {
	o        Options
	people   []*Person
	byName   map[string]*Person
	apps     map[string][]foundApp
	passkeys map[string][]foundPasskey
	order    []string // names of the exports, in their order
	users    bool     // a users file was among them
}

type foundApp struct {
	app  mfa.MovedApp
	file string
	line int
}

type foundPasskey struct {
	key  mfa.MovedPasskey
	lost string // why it cannot move
	file string
	line int
}

func readAuthelia(files []file, o Options) iter.Seq2[Person, error] {
	return func(yield func(Person, error) bool) {
		a := authelia{o: o, byName: map[string]*Person{}, apps: map[string][]foundApp{}, passkeys: map[string][]foundPasskey{}}
		for _, f := range files {
			if err := a.read(f); err != nil {
				yield(Person{}, err)
				return
			}
		}
		if !a.users {
			yield(Person{}, &Error{files[0].name, 0, "the users file is missing, without which nobody knows whom the factors belong to; name it as well: users_database.yml"})
			return
		}
		for _, p := range a.joined() {
			if !yield(*p, nil) {
				return
			}
		}
	}
}

// read reads one file, whichever it is.
func (a *authelia) read(f file) error {
	r, err := f.open()
	if err != nil {
		return err
	}
	defer r.Close()
	data, err := f.whole(r, maxYAML)
	if err != nil {
		return err
	}
	start := bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\ufeff")))
	switch {
	case bytes.HasPrefix(start, []byte("issuer,username,")):
		return f.lines(bytes.NewReader(data), false, func(line int, text string) error { return a.csv(f, line, text) })
	case bytes.HasPrefix(start, []byte("otpauth://")):
		return f.lines(bytes.NewReader(data), false, func(line int, text string) error { return a.uri(f, line, text) })
	}
	root, err := f.yaml(data)
	if err != nil {
		return err
	}
	known := false
	err = f.fields(root, "the file", func(key string, n *yaml.Node) error {
		switch key {
		case "users":
			known, a.users = true, true
			if empty(n) {
				return nil
			}
			return f.fields(n, "users", func(name string, n *yaml.Node) error { return a.user(f, name, n) })
		case "totp_configurations":
			known = true
			return f.items(n, key, func(n *yaml.Node) error { return a.totp(f, n) })
		case "webauthn_credentials":
			known = true
			return f.items(n, key, func(n *yaml.Node) error { return a.webauthn(f, n) })
		}
		return &Error{f.name, n.Line, fmt.Sprintf("%q is nothing that Authelia's users file and its exports have; exports of 4.38 and later are taken", shortened(key))}
	})
	if err == nil && !known {
		return &Error{f.name, 0, "it has neither users nor an export of Authelia's"}
	}
	return err
}

// profileFields are what Authelia keeps of a person for apps, and an account here has not.
var profileFields = []string{
	"given_name", "middle_name", "family_name", "nickname", "gender", "birthdate", "website", "profile", "picture", "zoneinfo", "locale",
	"phone_extension", "address", "extra",
}

func (a *authelia) user(f file, name string, n *yaml.Node) error {
	if strings.TrimSpace(name) == "" {
		return &Error{f.name, n.Line, "a user has no name"}
	}
	p := &Person{File: f.name, Line: n.Line, Newcomer: mfa.Newcomer{Name: name}}
	var profile []string
	err := f.fields(n, "a user", func(key string, n *yaml.Node) (err error) {
		switch key {
		case "password":
			var hash string
			hash, err = f.text(n, key)
			p.Password = mfa.Secret(hash)
		case "displayname":
			p.DisplayName, err = f.text(n, key)
		case "email":
			var list []string
			if list, err = f.texts(n, key); err == nil {
				p.addresses(list, a.o.EmailsVerified)
			}
		case "groups":
			p.Groups, err = f.texts(n, key)
		case "phone_number":
			p.Phone, err = f.text(n, key)
		case "disabled":
			p.Disabled, err = f.yes(n, key)
		default:
			if !slices.Contains(profileFields, key) {
				p.lose("field "+fmt.Sprintf("%q", shortened(key)), "this gateway does not know it")
			} else if !empty(n) && len(n.Content) > 0 || n.Kind == yaml.ScalarNode && !empty(n) {
				profile = append(profile, key)
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	if len(profile) > 0 {
		p.lose("profile ("+strings.Join(profile, ", ")+")", "an account here has no such fields")
	}
	a.people = append(a.people, p)
	key := strings.ToLower(strings.TrimSpace(name))
	if a.byName[key] == nil {
		a.byName[key] = p
	}
	return nil
}

// addresses takes the first address; an account has one.
func (p *Person) addresses(list []string, verified bool) {
	for i, address := range list {
		if i == 0 {
			p.Email, p.EmailVerified = address, verified && address != ""
			continue
		}
		p.lose("e-mail address "+fmt.Sprintf("%q", shortened(address)), "an account has one address, and takes the first")
	}
}

func (a *authelia) found(name string) string {
	name = strings.ToLower(strings.TrimSpace(name))
	if len(a.apps[name]) == 0 && len(a.passkeys[name]) == 0 {
		a.order = append(a.order, name)
	}
	return name
}

func (a *authelia) app(f file, line int, name string, app mfa.MovedApp) {
	name = a.found(name)
	a.apps[name] = append(a.apps[name], foundApp{app, f.name, line})
}

// csv reads a line of ISSUER,NAME,ALGORITHM,DIGITS,PERIOD,SECRET. Authelia quotes nothing.
func (a *authelia) csv(f file, line int, text string) error {
	if line == 1 {
		return nil
	}
	c := strings.Split(text, ",")
	if len(c) != 6 {
		return &Error{f.name, line, "it has not six fields; where the issuer has a comma, export as YAML: authelia storage user totp export"}
	}
	digits, ok := small(c[3])
	period, ok2 := small(c[4])
	secret, ok3 := base32Secret(c[5])
	if !ok || !ok2 || !ok3 || strings.TrimSpace(c[1]) == "" {
		return &Error{f.name, line, "a field of it cannot be read"}
	}
	a.app(f, line, c[1], mfa.MovedApp{Secret: secret, Algorithm: c[2], Digits: digits, Period: period})
	return nil
}

func (a *authelia) uri(f file, line int, text string) error {
	name, app, why := otpauth(text)
	if why != "" {
		return &Error{f.name, line, why}
	}
	a.app(f, line, name, app)
	return nil
}

func (a *authelia) totp(f file, n *yaml.Node) error {
	var app mfa.MovedApp
	name, text := "", ""
	err := f.fields(n, "an app", func(key string, n *yaml.Node) (err error) {
		var v uint64
		switch key {
		case "username":
			name, err = f.text(n, key)
		case "algorithm":
			app.Algorithm, err = f.text(n, key)
		case "digits":
			v, err = f.number(n, key, 99)
			app.Digits = int(v)
		case "period":
			v, err = f.number(n, key, 9999)
			app.Period = int(v)
		case "secret":
			text, err = f.text(n, key)
		}
		return err
	})
	if err != nil {
		return err
	}
	// The secret is base64 of the base32 that the app was given.
	inner, decodeErr := base64.StdEncoding.DecodeString(text)
	secret, ok := base32Secret(string(inner))
	if decodeErr != nil || !ok || strings.TrimSpace(name) == "" {
		return &Error{f.name, n.Line, "an app has no username, or its secret cannot be read"}
	}
	app.Secret = secret
	a.app(f, n.Line, name, app)
	return nil
}

func (a *authelia) webauthn(f file, n *yaml.Node) error {
	k := foundPasskey{file: f.name, line: n.Line}
	var name, id, public, model, kind string
	var verified, cloned bool
	err := f.fields(n, "a key", func(key string, n *yaml.Node) (err error) {
		switch key {
		case "username":
			name, err = f.text(n, key)
		case "rpid":
			k.key.RPID, err = f.text(n, key)
		case "description":
			k.key.Name, err = f.text(n, key)
		case "kid":
			id, err = f.text(n, key)
		case "public_key":
			public, err = f.text(n, key)
		case "aaguid":
			model, err = f.text(n, key)
		case "attestation_type":
			kind, err = f.text(n, key)
		case "transports":
			k.key.Transports, err = f.texts(n, key)
		case "sign_count":
			var v uint64
			v, err = f.number(n, key, math.MaxUint32)
			k.key.SignCount = uint32(v)
		case "verified":
			verified, err = f.yes(n, key)
		case "clone_warning":
			cloned, err = f.yes(n, key)
		}
		return err
	})
	if err != nil {
		return err
	}
	var ok, okKey, okModel bool
	k.key.ID, ok = base64Bytes(id)
	k.key.PublicKey, okKey = base64Bytes(public)
	k.key.AAGUID, okModel = aaguid(model)
	if !ok || !okKey || !okModel || strings.TrimSpace(name) == "" {
		return &Error{f.name, n.Line, "a key has no username, or its ID, public key or AAGUID cannot be read"}
	}
	k.key.Unverified = !verified
	switch {
	case cloned:
		k.lost = "the other system has seen a copy of it; the person sets up a new one"
	case kind == "fido-u2f":
		k.lost = "it is a U2F key, which cannot verify who holds it; the person sets up a passkey"
	}
	name = a.found(name)
	a.passkeys[name] = append(a.passkeys[name], k)
	return nil
}

// joined gives each person their factors. Factors of people who are not in the users file
// stand at the end, so that nothing goes unsaid.
func (a *authelia) joined() []*Person {
	list := a.people
	for _, name := range a.order {
		p := a.byName[name]
		if p == nil {
			p = &Person{Nobody: true, Newcomer: mfa.Newcomer{Name: name}}
			list = append(list, p)
		}
		for _, app := range a.apps[name] {
			if p.Nobody {
				p.File, p.Line = app.file, app.line
				p.lose("authenticator app", noUser)
				continue
			}
			p.Apps = append(p.Apps, app.app)
		}
		for _, k := range a.passkeys[name] {
			switch {
			case p.Nobody:
				p.File, p.Line = k.file, k.line
				p.lose("passkey", noUser)
			case k.lost != "":
				p.lose("passkey "+fmt.Sprintf("%q", shortened(k.key.Name)), k.lost)
			default:
				p.Passkeys = append(p.Passkeys, k.key)
			}
		}
	}
	return list
}

const noUser = "nobody of this name is in the users file"
