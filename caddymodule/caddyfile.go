package caddymodule

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/secondgate/secondgate/mfa"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("mfa", parseGlobal)
	httpcaddyfile.RegisterDirective("mfa", parseDirective)
	// After forward_auth, so that an identity which another authenticator has
	// established can be the first factor; before everything that answers.
	httpcaddyfile.RegisterDirectiveOrder("mfa", httpcaddyfile.After, "forward_auth")
}

// parseGlobal reads the global option
//
//	mfa {
//		store         badger [DIR] | postgres URL { … }
//		sender        email|sms smtp|twilio|webhook|log [{ … }]
//		domain        DOMAIN
//		related_origins URL…
//		origin        URL
//		factors       passkey|totp|sms|email|backup_code… | off
//		require       on|off
//		prompt        at_registration|at_next_sign_in|never
//		organization_required at_sign_in|at_access
//		enrollment    open [DURATION] | confirm | pass
//		grace         DURATION
//		remember_device DURATION
//		app_tokens
//		auto_enroll
//		report_only
//		accept_lockout
//		organization NAME {
//			name               WORDS
//			require            on
//			factors            passkey|totp|sms|email|backup_code…
//			fresh              DURATION
//			phishing_resistant
//			enrollment         open [DURATION] | confirm | pass
//			remember_device    off
//			domains            DOMAIN…
//		}
//		identity local {
//			sign_up name|email|sms…
//			sign_in password [email] [sms]
//		}
//		identity oidc|ldap|proxied [NAME] { … }
//		sms {
//			countries CODE…
//			per_day   NUMBER
//		}
//		session {
//			idle     DURATION
//			absolute DURATION
//		}
//		issuer        NAME
//		headers {
//			user|name|email|groups|assertion HEADER
//		}
//		assertion     eddsa|es256|off [{
//			issuer URL
//		}]
//		user_header   name|email
//		brand {
//			name    NAME
//			accent  COLOUR
//			support WORDS
//		}
//		insecure_http
//	}
//
// All of it may be left out; see App for what each option means.
func parseGlobal(d *caddyfile.Dispenser, existing any) (any, error) {
	if existing != nil {
		d.Next()
		return nil, d.Err("mfa: stands twice among the global options; write one block")
	}
	app := new(App)
	if err := app.UnmarshalCaddyfile(d); err != nil {
		return nil, err
	}
	return httpcaddyfile.App{Name: "mfa", Value: caddyconfig.JSON(app, nil)}, nil
}

// UnmarshalCaddyfile reads the global option "mfa"; see parseGlobal.
func (a *App) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if !d.Next() {
		return d.ArgErr()
	}
	b := &block{Dispenser: d, name: "mfa", first: d.Token(), seen: make(map[string]caddyfile.Token)}
	if d.NextArg() {
		return d.Errf("mfa: %q is one word too many; the options stand in a block: mfa { … }", d.Val())
	}
	if err := b.each(a.parsers(b)); err != nil {
		return err
	}
	// What is wrong is told where it stands, not when the gateway starts.
	_, err := a.check()
	return b.at(err)
}

func (a *App) parsers(b *block) map[string]func() error {
	return map[string]func() error{
		"store":  func() error { return a.parseStore(b) },
		"sender": func() error { return a.parseSender(b) },
		"domain": func() error {
			err := b.word(&a.Domain, "domain example.com")
			a.Domain = strings.ToLower(a.Domain)
			return err
		},
		"related_origins": func() error { return b.words(&a.RelatedOrigins, "related_origins https://example.de") },
		"origin":          func() error { return b.word(&a.Origin, "origin https://app.example.com") },
		"factors": func() error {
			a.Factors = b.RemainingArgs()
			if a.Factors == nil {
				a.Factors = []string{} // an empty list, which check refuses
			}
			return nil
		},
		"require":    func() error { return b.word(&a.Require, "require on") },
		"prompt":     func() error { return b.word(&a.Prompt, "prompt at_registration") },
		"grace":      func() error { return b.duration(&a.Grace, "grace 7d") },
		"enrollment": func() (err error) { a.Enrollment, err = parseEnrollment(b); return err },
		"organization_required": func() error {
			return b.word(&a.OrganizationRequired, "organization_required at_sign_in")
		},
		"remember_device": func() error { return b.duration(&a.RememberDevice, "remember_device 30d") },
		"app_tokens":      func() error { a.AppTokens = true; return b.noWord("app_tokens") },
		"auto_enroll":     func() error { a.AutoEnroll = true; return b.noWord("auto_enroll") },
		"report_only":     func() error { a.ReportOnly = true; return b.noWord("report_only") },
		"accept_lockout":  func() error { a.AcceptLockout = true; return b.noWord("accept_lockout") },
		"organization":    func() error { return a.parseOrganization(b) },
		"identity":        func() error { return a.parseIdentity(b) },
		"sms": func() error {
			return b.nested("sms", func(s *block) map[string]func() error {
				return map[string]func() error{
					"countries": func() error { return s.words(&a.SMS.Countries, "countries DE AT") },
					"per_day":   func() error { return s.number(&a.SMS.PerDay, "per_day 500") },
				}
			})
		},
		"session": func() error {
			return b.nested("session", func(s *block) map[string]func() error {
				return map[string]func() error{
					"idle":     func() error { return s.positive(&a.Session.Idle, "idle 1h") },
					"absolute": func() error { return s.positive(&a.Session.Absolute, "absolute 12h") },
				}
			})
		},
		"issuer": func() error { return b.text(&a.Issuer, `issuer "Acme"`) },
		"headers": func() error {
			return b.nested("headers", func(h *block) map[string]func() error {
				return map[string]func() error{
					"user":   func() error { return h.word(&a.Headers.User, "user Remote-User") },
					"name":   func() error { return h.word(&a.Headers.Name, "name Remote-Name") },
					"email":  func() error { return h.word(&a.Headers.Email, "email Remote-Email") },
					"groups": func() error { return h.word(&a.Headers.Groups, "groups Remote-Groups") },
					"assertion": func() error {
						return h.word(&a.Headers.Assertion, "assertion Mfa-Assertion")
					},
				}
			})
		},
		"assertion":   func() error { return a.parseAssertion(b) },
		"user_header": func() error { return b.word(&a.UserHeader, "user_header email") },
		"brand": func() error {
			return b.nested("brand", func(s *block) map[string]func() error {
				return map[string]func() error{
					"name":    func() error { return s.text(&a.Brand.Name, `name "Acme"`) },
					"accent":  func() error { return s.word(&a.Brand.Accent, `accent "#0b5fff"`) },
					"support": func() error { return s.text(&a.Brand.Support, `support "help@example.com"`) },
				}
			})
		},
		"insecure_http": func() error { a.InsecureHTTP = true; return b.noWord("insecure_http") },
	}
}

func (a *App) parseStore(b *block) error {
	if !b.NextArg() {
		return b.Err("store: which one? Write: store badger, or: store postgres {env.DATABASE_URL} { master_key {file./path} }")
	}
	name := b.Val()
	if strings.ContainsAny(name, `/\.~{`) {
		return b.Errf("store: %q is a directory, not a kind of store; write: store badger %s", name, name)
	}
	id := caddy.ModuleID("mfa.stores." + name)
	if _, err := caddy.GetModule(string(id)); err != nil {
		return b.Errf("store: there is no store %q; write: store badger, or: store postgres {env.DATABASE_URL} { master_key {file./path} }", name)
	}
	mod, err := caddyfile.UnmarshalModule(b.Dispenser, string(id))
	if err != nil {
		return err
	}
	a.StoreRaw = caddyconfig.JSONModuleObject(mod, "module", name, nil)
	return nil
}

func parseEnrollment(b *block) (*Enrollment, error) {
	e, err := mfa.ParseEnrollment(b.RemainingArgs())
	if err != nil {
		return nil, b.WrapErr(err)
	}
	return &Enrollment{Open: e.Open, Window: caddy.Duration(e.Window), Confirm: e.Confirm}, nil
}

func (a *App) parseOrganization(b *block) error {
	if !b.NextArg() {
		return b.Err("organization: which one? Write for example: organization acme { require on }")
	}
	name := b.Val()
	if _, err := mfa.ParseOrganizationID(name); err != nil {
		return b.WrapErr(err)
	}
	if _, twice := a.Organizations[name]; twice {
		return b.Errf("organization: %s stands twice; write one block", name)
	}
	delete(b.seen, "organization") // there may be many
	b.seen["organization "+name] = b.Token()
	var o Organization
	err := b.nested("organization "+name, func(s *block) map[string]func() error {
		return map[string]func() error{
			"name":               func() error { return s.text(&o.Name, `name "Acme"`) },
			"require":            func() error { return s.word(&o.Require, "require on") },
			"factors":            func() error { return s.words(&o.Factors, "factors passkey") },
			"fresh":              func() error { return s.positive(&o.Fresh, "fresh 12h") },
			"phishing_resistant": func() error { o.PhishingResistant = true; return s.noWord("phishing_resistant") },
			"enrollment":         func() (err error) { o.Enrollment, err = parseEnrollment(s); return err },
			"remember_device":    func() error { return s.word(&o.RememberDevice, "remember_device off") },
			"domains":            func() error { return s.words(&o.Domains, "domains example.com") },
		}
	})
	if a.Organizations == nil {
		a.Organizations = make(map[string]Organization)
	}
	a.Organizations[name] = o
	return err
}

// parseDirective reads the directive
//
//	mfa [MATCHER] {
//		factors            passkey|totp|backup_code…
//		fresh              DURATION
//		phishing_resistant
//		organization       NAME
//		app_tokens
//		bypass
//	}
//
// It gives one route without a matcher: the matcher is the handler's (Handler).
func parseDirective(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	if !h.Next() {
		return nil, h.ArgErr()
	}
	set, matched, err := h.MatcherToken()
	if err != nil {
		return nil, h.WrapErr(err)
	}
	if matched {
		h.Delete()
	}
	h.Reset()
	handler := new(Handler)
	if set != nil {
		handler.MatcherSetsRaw = caddyhttp.RawMatcherSets{set}
	}
	if err := handler.unmarshal(h.Dispenser, globalApp(h)); err != nil {
		return nil, err
	}
	var sortFirst caddy.ModuleMap
	if handler.Bypass {
		// Routes of one directive with a path matcher come before those without: a
		// bypass has to be seen before the check that it lifts, wherever it stands
		// in the file.
		sortFirst = caddy.ModuleMap{"path": h.JSON(caddyhttp.MatchPath{"/*"})}
	}
	if handler.AppTokens && set != nil {
		// Likewise: a plain mfa takes the token that a more special one has taken. Of any
		// path, so that no request slips by.
		sortFirst = caddy.ModuleMap{"path": h.JSON(caddyhttp.MatchPath{"*"})}
	}
	return h.NewRoute(sortFirst, handler), nil
}

// UnmarshalCaddyfile reads the directive without a matcher; see parseDirective.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { return h.unmarshal(d, nil) }

// unmarshal reads the directive and checks it against the global options; nil
// stands for none of them.
func (h *Handler) unmarshal(d *caddyfile.Dispenser, app *App) error {
	if !d.Next() {
		return d.ArgErr()
	}
	b := &block{Dispenser: d, name: "mfa", first: d.Token(), seen: make(map[string]caddyfile.Token)}
	if d.NextArg() {
		return d.Errf("mfa: %q is no matcher; write a path (/admin/*), a named matcher (@name), or nothing", d.Val())
	}
	err := b.each(map[string]func() error{
		"factors": func() error {
			h.Factors = b.RemainingArgs()
			if h.Factors == nil {
				h.Factors = []string{}
			}
			return nil
		},
		"fresh":              func() error { return b.positive(&h.Fresh, "fresh 10m") },
		"phishing_resistant": func() error { h.PhishingResistant = true; return b.noWord("phishing_resistant") },
		"organization":       func() error { return b.word(&h.Organization, "organization acme") },
		"app_tokens":         func() error { h.AppTokens = true; return b.noWord("app_tokens") },
		"bypass":             func() error { h.Bypass = true; return b.noWord("bypass") },
	})
	if err != nil {
		return err
	}
	if h.Bypass && opensAll(h.MatcherSetsRaw) {
		h.MatcherSetsRaw = nil // which check refuses
	}
	if app == nil {
		app = new(App)
	}
	p, err := app.check()
	if err != nil {
		return b.at(err)
	}
	return b.at(h.check(app, p))
}

// opensAll reports whether a matcher is a path that every request has.
func opensAll(sets caddyhttp.RawMatcherSets) bool {
	return slices.ContainsFunc(sets, func(set caddy.ModuleMap) bool {
		var paths caddyhttp.MatchPath
		if len(set) != 1 || json.Unmarshal(set["path"], &paths) != nil {
			return false
		}
		return slices.Contains(paths, "*") || slices.Contains(paths, "/*")
	})
}

// globalApp returns what the global options say, or nil.
func globalApp(h httpcaddyfile.Helper) *App {
	raw, ok := h.Option("mfa").(httpcaddyfile.App)
	if !ok {
		return nil
	}
	app := new(App)
	if json.Unmarshal(raw.Value, app) != nil {
		return nil
	}
	return app
}

// block reads the options of one block and remembers where each stands.
type block struct {
	*caddyfile.Dispenser
	name  string
	first caddyfile.Token
	seen  map[string]caddyfile.Token
}

// each calls the parser of every option of the block. Each may stand once.
func (b *block) each(parsers map[string]func() error) error {
	for nesting := b.Nesting(); b.NextBlock(nesting); {
		option := b.Val()
		parse, known := parsers[option]
		if !known {
			var names []string
			for name := range parsers {
				names = append(names, name)
			}
			slices.Sort(names)
			return b.Errf("%s: unknown option %q; %s", b.name, option, b.instead(option, names))
		}
		if _, twice := b.seen[option]; twice {
			return b.Errf("%s: %s stands twice; write it once", b.name, option)
		}
		b.seen[option] = b.Token()
		if err := parse(); err != nil {
			return err
		}
	}
	return nil
}

// Where the options of the two blocks named mfa stand, for those who look for one
// in the other.
var (
	globalOptions = []string{"store", "domain", "related_origins", "origin", "require", "prompt", "grace", "enrollment", "organization_required", "remember_device", "auto_enroll", "report_only", "accept_lockout", "identity", "sender", "sms", "session", "issuer", "headers", "assertion", "user_header", "brand", "insecure_http"}
	siteOptions   = []string{"fresh", "phishing_resistant", "bypass"}
)

// instead says what may have been meant by an option that is none of names.
func (b *block) instead(option string, names []string) string {
	switch {
	case b.name == "mfa" && slices.Contains(globalOptions, option):
		return "it belongs in the global options, at the top of the file: { mfa { " + option + " … } }"
	case b.name == "mfa" && slices.Contains(siteOptions, option):
		return "it belongs in a site: mfa [MATCHER] { " + option + " … }"
	}
	if len(names) == 0 {
		return "it has none"
	}
	text := "there are " + strings.Join(names, ", ")
	if near := nearest(option, names); near != "" {
		return "did you mean " + near + "? " + strings.ToUpper(text[:1]) + text[1:]
	}
	return text
}

// nearest returns the name that differs from word by a slip or two, or "".
func nearest(word string, names []string) string {
	best, least := "", 3
	for _, name := range names {
		if d := distance(word, name); d < least && d < len(name)/2 {
			best, least = name, d
		}
	}
	return best
}

// distance counts the letters to insert, drop or change between a and b.
func distance(a, b string) int {
	if len(a) > 32 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

// nested reads an option that is a block itself.
func (b *block) nested(name string, parsers func(*block) map[string]func() error) error {
	if b.NextArg() {
		return b.Errf("%s: %q is one word too many; its options stand in a block: %s { … }", name, b.Val(), name)
	}
	inner := &block{Dispenser: b.Dispenser, name: name, first: b.Token(), seen: make(map[string]caddyfile.Token)}
	err := inner.each(parsers(inner))
	for option, token := range inner.seen {
		b.seen[name+" "+option] = token
	}
	return err
}

// word reads the one word of an option.
func (b *block) word(to *string, example string) error {
	option := b.Val()
	args := b.RemainingArgs()
	if len(args) != 1 || args[0] == "" {
		return b.Errf("%s: needs one word; write for example: %s", option, example)
	}
	*to = args[0]
	return nil
}

// words reads the words of an option, one at least.
func (b *block) words(to *[]string, example string) error {
	option := b.Val()
	if *to = b.RemainingArgs(); *to == nil {
		return b.Errf("%s: the list is empty; write for example: %s", option, example)
	}
	return nil
}

// number reads the one number above zero of an option.
func (b *block) number(to *int, example string) error {
	option := b.Val()
	var text string
	if err := b.word(&text, example); err != nil {
		return err
	}
	n, err := strconv.Atoi(text)
	if err != nil || n <= 0 {
		return b.Errf("%s: %q is no number above zero; write for example: %s", option, text, example)
	}
	*to = n
	return nil
}

// text reads the one text of an option, which may have spaces in it.
func (b *block) text(to *string, example string) error {
	option := b.Val()
	args := b.RemainingArgs()
	switch {
	case len(args) > 1:
		return b.Errf("%s: these are %d words; put them in quotes: %s %q", option, len(args), option, strings.Join(args, " "))
	case len(args) == 0 || args[0] == "":
		return b.Errf("%s: is empty; write for example: %s", option, example)
	}
	*to = args[0]
	return nil
}

// duration reads the one duration of an option; days may be written as 14d.
func (b *block) duration(to *caddy.Duration, example string) error {
	option := b.Val()
	var text string
	if err := b.word(&text, example); err != nil {
		return err
	}
	d, err := caddy.ParseDuration(text)
	if err != nil {
		return b.Errf("%s: %q is no duration; write for example: %s", option, text, example)
	}
	*to = caddy.Duration(d)
	return nil
}

// positive is duration for an option whose 0 would mean that it was not written.
func (b *block) positive(to *caddy.Duration, example string) error {
	option := b.Val()
	err := b.duration(to, example)
	if err == nil && *to <= 0 {
		return b.Errf("%s: must be one minute or more; write for example: %s", option, example)
	}
	return err
}

func (b *block) noWord(option string) error {
	if b.NextArg() {
		return b.Errf("%s: %q is one word too many; it stands alone", option, b.Val())
	}
	return nil
}

// at adds to err where the option that it is about stands: errors of check begin
// with its name, or with that of its block and its own.
func (b *block) at(err error) error {
	if err == nil {
		return nil
	}
	token := b.first
	head, rest, _ := strings.Cut(err.Error(), ": ")
	inner, _, _ := strings.Cut(rest, ":")
	word, _, _ := strings.Cut(err.Error(), " ")
	for _, option := range []string{head + " " + inner, head, strings.Trim(word, ":,")} {
		if t, ok := b.seen[option]; ok {
			token = t
			break
		}
	}
	return fmt.Errorf("%w, at %s:%d", err, token.File, token.Line)
}

// within is at for the block of a guest, whose name stands before the error.
func (b *block) within(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", name, b.at(err))
}

var (
	_ caddyfile.Unmarshaler = (*App)(nil)
	_ caddyfile.Unmarshaler = (*Handler)(nil)
)
