package caddymodule

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"

	"github.com/secondgate/secondgate/guard"
	"github.com/secondgate/secondgate/internal/related"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/mfa/factor/otpcode"
)

// check returns the policy, or what is wrong with the configuration and what to
// write instead. Each error begins with the name of the option that it is about.
func (a *App) check() (mfa.Policy, error) {
	settings, err := a.settings()
	if err != nil {
		return mfa.Policy{}, err
	}
	if s := settings.Factors; s != nil && s.Has(mfa.SMS) && a.delivers(mfa.SMS) && len(a.SMS.Countries) == 0 {
		return mfa.Policy{}, errors.New("factors: sms needs the countries that text messages may go to; write for example: sms { countries DE AT }")
	}
	p, err := settings.Policy(a.have())
	if err != nil {
		return mfa.Policy{}, err
	}
	list, err := a.organizations(&p)
	if err != nil {
		return mfa.Policy{}, err
	}
	if len(list) > 0 {
		p.Organizations = mfa.NewDirectory(list)
	}
	for _, check := range []func() error{
		a.checkDomain, a.checkRelated, a.checkOrigin, a.checkSession, a.checkHeaders, a.checkAssertion, a.checkBrand, a.checkSMS,
		func() error { return a.checkConfirm(&p) },
		func() error {
			if _, _, err := a.localWays(); err != nil {
				return fmt.Errorf("identity local %w", err)
			}
			return nil
		},
	} {
		if err := check(); err != nil {
			return mfa.Policy{}, err
		}
	}
	a.configured = settings
	return p, nil
}

// settings returns what the configuration says of the policy.
func (a *App) settings() (mfa.PolicySettings, error) {
	var s mfa.PolicySettings
	switch {
	case len(a.Factors) == 1 && a.Factors[0] == "off":
		s.Off = true
	case slices.Contains(a.Factors, "off"):
		return s, errors.New("factors: off stands alone; write either \"factors off\" or the factors")
	case a.Factors != nil:
		kinds, err := parseKinds(a.Factors)
		if err != nil {
			return s, err
		}
		s.Factors = &kinds
	}
	switch a.Require {
	case "":
	case "on", "off":
		optional := a.Require == "off"
		s.Optional = &optional
	default:
		return s, fmt.Errorf("require: %q is neither on nor off", a.Require)
	}
	if a.Prompt != "" {
		prompt, err := mfa.ParsePrompt(a.Prompt)
		if err != nil {
			return s, err
		}
		s.Prompt = &prompt
	}
	if a.OrganizationRequired != "" {
		where, err := mfa.ParseOrganizationRequired(a.OrganizationRequired)
		if err != nil {
			return s, err
		}
		s.OrganizationRequired = &where
	}
	if a.Grace != 0 {
		grace := time.Duration(a.Grace)
		s.Grace = &grace
	}
	if a.RememberDevice != 0 {
		life := time.Duration(a.RememberDevice)
		if life > mfa.MaxRemember {
			return s, errors.New("remember_device: must be 365 days or less; write for example: remember_device 30d")
		}
		s.RememberDevice = &life
	}
	if a.AutoEnroll {
		s.AutoEnroll = &a.AutoEnroll
	}
	if a.ReportOnly {
		s.ReportOnly = &a.ReportOnly
	}
	if a.Enrollment != nil {
		e, err := a.Enrollment.read()
		if err != nil {
			return s, err
		}
		s.Enrollment = &e
	}
	return s, nil
}

// read returns it as the policy has it.
func (e *Enrollment) read() (mfa.Enrollment, error) {
	switch {
	case !e.Open && e.Window != 0:
		return mfa.Enrollment{}, errors.New("enrollment: a window has a meaning only with \"open\"; write for example: enrollment open 14d")
	case e.Open && e.Confirm:
		return mfa.Enrollment{}, errors.New("enrollment: open and confirm are two ways; write one of them: enrollment confirm")
	}
	return mfa.Enrollment{Open: e.Open, Window: time.Duration(e.Window), Confirm: e.Confirm}, nil
}

// checkConfirm refuses "confirm" where no code can be sent (rule B1).
func (a *App) checkConfirm(p *mfa.Policy) error {
	confirms := p.Enrollment.Confirm
	for _, o := range p.Organizations.List() {
		confirms = confirms || o.Enrollment != nil && o.Enrollment.Confirm
	}
	if confirms && !a.delivers(mfa.Email) && !a.have().Has(mfa.SMS) {
		return errors.New("enrollment: confirm sends a code to the address on file, and there is nothing to send it with; add a sender, for example: sender email smtp { … }, or write: enrollment pass")
	}
	return nil
}

// organizations returns those that the configuration declares, under its policy.
func (a *App) organizations(p *mfa.Policy) ([]*mfa.Organization, error) {
	var list []*mfa.Organization
	for _, name := range slices.Sorted(maps.Keys(a.Organizations)) {
		o, err := a.Organizations[name].read(name)
		if err == nil {
			err = o.Validate(p)
		}
		if err != nil {
			return nil, fmt.Errorf("organization %s: %w", name, err)
		}
		list = append(list, o)
	}
	return list, nil
}

func (in Organization) read(name string) (*mfa.Organization, error) {
	id, err := mfa.ParseOrganizationID(name)
	if err != nil {
		return nil, err
	}
	o := &mfa.Organization{
		ID: id, Name: in.Name, Fresh: time.Duration(in.Fresh), PhishingResistant: in.PhishingResistant,
		Domains: in.Domains, Declared: true,
	}
	if len(in.Name) > 64 {
		return nil, errors.New("name: is too long for a page; use 64 bytes at most")
	}
	switch in.Require {
	case "":
	case "on":
		o.Require = true
	default:
		return nil, fmt.Errorf("require: %q is not on; an organization can ask for more than the gateway, never for less", in.Require)
	}
	switch in.RememberDevice {
	case "":
	case "off":
		o.NoRemembering = true
	default:
		return nil, fmt.Errorf("remember_device: %q is not off; an organization can only forbid it", in.RememberDevice)
	}
	if in.Factors != nil {
		if o.Factors, err = parseKinds(in.Factors); err != nil {
			return nil, err
		}
	}
	if in.Enrollment != nil {
		e, err := in.Enrollment.read()
		if err != nil {
			return nil, err
		}
		o.Enrollment = &e
	}
	return o, nil
}

// localWays returns with what strangers make accounts, and which codes sign in.
func (a *App) localWays() (mfa.SignUp, mfa.Kinds, error) {
	var up mfa.SignUp
	var in mfa.Kinds
	have := a.have()
	channel := func(option, word string) (mfa.Kinds, error) {
		k := mfa.KindsOf(mfa.Kind(word))
		switch {
		case word == "email" && !a.delivers(mfa.Email):
			return 0, fmt.Errorf("%s: email needs something to send codes with; add: sender email smtp { … }", option)
		case word == "sms" && !have.Has(mfa.SMS):
			return 0, fmt.Errorf("%s: sms needs something to send codes with, and the countries that they may go to; add: sender sms twilio { … } and sms { countries DE }", option)
		}
		return k, nil
	}
	for i, word := range a.local().SignUp {
		if slices.Contains(a.local().SignUp[:i], word) {
			return up, in, fmt.Errorf("sign_up: %q stands twice; write it once", word)
		}
		switch word {
		case "name":
			up.Name = true
		case "email", "sms":
			k, err := channel("sign_up", word)
			if err != nil {
				return up, in, err
			}
			up.Channels |= k
		default:
			return up, in, fmt.Errorf("sign_up: %q is none of name, email, sms", word)
		}
	}
	ways := a.local().SignIn
	if ways != nil && !slices.Contains(ways, "password") {
		// Whoever has no second factor but the address that signs in could never
		// verify (rule B27).
		return up, in, errors.New("sign_in: the password cannot be left out; write for example: sign_in password email")
	}
	for i, word := range ways {
		if slices.Contains(ways[:i], word) {
			return up, in, fmt.Errorf("sign_in: %q stands twice; write it once", word)
		}
		switch word {
		case "password":
		case "email", "sms":
			k, err := channel("sign_in", word)
			if err != nil {
				return up, in, err
			}
			in |= k
		default:
			return up, in, fmt.Errorf("sign_in: %q is none of password, email, sms", word)
		}
	}
	return up, in, nil
}

func (a *App) checkSMS() error {
	switch _, err := otpcode.ParseCountries(a.SMS.Countries); {
	case err != nil:
		return fmt.Errorf("sms countries: %w", err)
	case a.SMS.PerDay < 0:
		return errors.New("sms per_day: must be above zero; write for example: per_day 500")
	case len(a.SMS.Countries) == 0 && a.SMS.PerDay != 0:
		return errors.New("sms per_day: has a meaning only with countries; write for example: countries DE AT")
	}
	return nil
}

func (a *App) checkDomain() error {
	if a.Domain == "" {
		return nil
	}
	switch suffix, _ := publicsuffix.PublicSuffix(a.Domain); {
	case !hostName.MatchString(a.Domain) || net.ParseIP(a.Domain) != nil || !strings.Contains(a.Domain, "."):
		return fmt.Errorf("domain: %q is not a domain; write it without scheme, port or leading dot, in lower case: domain example.com", a.Domain)
	case suffix == a.Domain:
		// A cookie for a public suffix would go to strangers' hosts.
		return fmt.Errorf("domain: %q is a public suffix, under which strangers have their own hosts; write the domain that is yours", a.Domain)
	}
	return nil
}

func (a *App) checkRelated() error {
	if len(a.RelatedOrigins) == 0 {
		return nil
	}
	if a.Domain == "" {
		return errors.New("related_origins: need a domain whose passkeys they use; write for example: domain example.com")
	}
	if _, err := related.Document(a.RelatedOrigins); err != nil {
		return fmt.Errorf("related_origins: %w", err)
	}
	for _, origin := range a.RelatedOrigins {
		if h := hostOf(origin); h == a.Domain || strings.HasSuffix(h, "."+a.Domain) {
			return fmt.Errorf("related_origins: %s is within the domain %s, whose passkeys work there anyway; leave it out", h, a.Domain)
		}
	}
	return nil
}

func (a *App) checkOrigin() error {
	if a.Origin == "" {
		return nil
	}
	u, err := url.Parse(a.Origin)
	if err != nil || u.Scheme+"://"+u.Host != a.Origin || u.Hostname() == "" || strings.ToLower(a.Origin) != a.Origin {
		return fmt.Errorf("origin: %q is not an origin; write scheme and host in lower case and nothing after them: origin https://app.example.com", a.Origin)
	}
	if u.Scheme != "https" {
		return fmt.Errorf("origin: must begin with https://, or passwords would cross the network in the open; write: origin https://%s", u.Host)
	}
	if a.Domain != "" && u.Hostname() != a.Domain && !strings.HasSuffix(u.Hostname(), "."+a.Domain) {
		return fmt.Errorf("origin: %s is not within the domain %s; change one of them", u.Hostname(), a.Domain)
	}
	return nil
}

func (a *App) checkSession() error {
	idle, absolute := a.idle(), a.absolute()
	switch {
	case a.Session.Idle < 0 || idle < minIdle:
		return errors.New("session idle: must be one minute or more; write for example: idle 1h")
	case a.Session.Absolute < 0 || absolute < minIdle:
		return errors.New("session absolute: must be one minute or more; write for example: absolute 12h")
	case absolute > maxAbsolute:
		return errors.New("session absolute: must be 30 days or less; write for example: absolute 12h")
	case a.Session.Idle > 0 && idle > absolute:
		return fmt.Errorf("session idle: is longer than absolute (%s), so it would never hold; write a shorter one", absolute)
	}
	return nil
}

func (a *App) checkHeaders() error {
	for _, name := range []string{a.Headers.User, a.Headers.Name, a.Headers.Email, a.Headers.Groups, a.Headers.Assertion} {
		if strings.ContainsAny(name, "_.") {
			// Many servers drop such a header, or take it for another one's.
			return fmt.Errorf("headers: %q cannot be the name of a header; use letters, digits and dashes", name)
		}
	}
	err := a.headers().Validate()
	if e, ok := errors.AsType[*guard.HeaderError](err); ok && e.Option == "user_header" {
		return fmt.Errorf("user_header: %q is neither name nor email", e.Name)
	}
	return err
}

func (a *App) headers() guard.Headers {
	return guard.Headers{
		User: a.Headers.User, Name: a.Headers.Name, Email: a.Headers.Email,
		Groups: a.Headers.Groups, Assertion: a.Headers.Assertion, UserField: a.UserHeader,
	}
}

func (a *App) checkBrand() error {
	switch {
	case a.Brand.Accent != "" && !colour.MatchString(a.Brand.Accent):
		return fmt.Errorf("brand accent: %q is not a colour; write for example: accent \"#0b5fff\"", a.Brand.Accent)
	case len(a.Brand.Name) > 64:
		return errors.New("brand name: is too long for the top of a page; use 64 bytes at most")
	case len(a.Brand.Support) > 256:
		return errors.New("brand support: is too long; use 256 bytes at most")
	case strings.ContainsAny(a.issuer(), ":\r\n"):
		// The otpauth URI separates issuer and account by a colon.
		return fmt.Errorf("issuer: %q has a colon or a line break in it, which authenticator apps misread; leave it out", a.issuer())
	}
	return nil
}

// requirement checks what a route asks beyond the policy (rule B1).
func (a *App) requirement(p mfa.Policy, factors []string, fresh time.Duration, phishingResistant bool) (mfa.Requirement, error) {
	need := mfa.Requirement{Fresh: fresh, PhishingResistant: phishingResistant}
	if factors != nil {
		kinds, err := parseKinds(factors)
		if err != nil {
			return need, err
		}
		if off := kinds &^ p.Factors; off != 0 && !p.Off {
			return need, fmt.Errorf("factors: %s is not enabled by the policy, which has %s; write some of those", off, p.Factors)
		}
		need.Factors = kinds
	}
	if phishingResistant && !p.Off && !p.Factors.Has(mfa.Passkey) {
		return need, fmt.Errorf("phishing_resistant: needs passkeys, and the global factors are %s; add passkey to them, or remove this line", p.Factors)
	}
	if phishingResistant && need.Factors != 0 && !need.Factors.Has(mfa.Passkey) {
		return need, fmt.Errorf("phishing_resistant: needs passkeys, and the factors of this route are %s; add passkey to them, or remove one of the two lines", need.Factors)
	}
	if phishingResistant && a.InsecureHTTP {
		return need, errors.New("phishing_resistant: needs passkeys, which do not work over plain http; remove insecure_http, or remove this line")
	}
	return need, p.With(need).Validate(a.have())
}

// parseKinds is mfa.ParseKinds with words for what this version has: who mistypes a
// factor should not be offered one that is refused next.
func parseKinds(names []string) (mfa.Kinds, error) {
	var have []string
	for _, k := range factorsHere.List() {
		have = append(have, string(k))
	}
	for _, name := range names {
		if kinds, err := mfa.ParseKinds([]string{name}); err == nil && kinds != 0 {
			continue
		}
		if near := nearest(name, have); near != "" {
			return 0, fmt.Errorf("factors: %q is not a factor; write %s", name, near)
		}
		return 0, fmt.Errorf("factors: %q is not a factor; there are %s", name, strings.Join(have, ", "))
	}
	return mfa.ParseKinds(names)
}

var (
	hostName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)
	colour   = regexp.MustCompile(`^#([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$`)
)
