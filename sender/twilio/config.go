package twilio

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/secondgate/secondgate/internal/outbound"
	"github.com/secondgate/secondgate/mfa"
)

// Config says whose account sends, and from which number.
type Config struct {
	AccountSID string     // "AC…"
	AuthToken  mfa.Secret // of the account; or, better, a key:
	KeySID     string     // "SK…"
	KeySecret  mfa.Secret

	// One of the two.
	From       string // a number as E.164 writes it, a short code, or a name
	ServiceSID string // "MG…": a messaging service, which chooses the number

	BaseURL string // empty: https://api.twilio.com
	Now     func() time.Time
}

const defaultBase = "https://api.twilio.com"

var (
	accountSID = regexp.MustCompile(`^AC[0-9a-fA-F]{32}$`)
	keySID     = regexp.MustCompile(`^SK[0-9a-fA-F]{32}$`)
	serviceSID = regexp.MustCompile(`^MG[0-9a-fA-F]{32}$`)

	number    = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`) // E.164
	shortCode = regexp.MustCompile(`^[0-9]{3,8}$`)
	nameFrom  = regexp.MustCompile(`^[A-Za-z0-9 ]{1,11}$`) // networks take no more
	hasLetter = regexp.MustCompile(`[A-Za-z]`)
)

// Validate returns what is wrong, and what to write instead. Each error begins with
// the name of the option that it is about.
func (c Config) Validate() error {
	switch {
	case c.AccountSID == "":
		return errors.New("account: is missing; write the account SID: account AC…")
	case !accountSID.MatchString(c.AccountSID):
		return fmt.Errorf("account: %q is no account SID; write AC and the 32 digits that follow it in Twilio's console", c.AccountSID)
	case len(c.AuthToken) > 0 && (c.KeySID != "" || len(c.KeySecret) > 0):
		return errors.New("token: there is a key as well; write one of the two")
	case c.KeySID != "" && !keySID.MatchString(c.KeySID):
		return fmt.Errorf("key: %q is no key SID; write for example: key SK… {env.TWILIO_KEY_SECRET}", c.KeySID)
	case (c.KeySID == "") != (len(c.KeySecret) == 0):
		return errors.New("key: needs its SID and its secret; write for example: key SK… {env.TWILIO_KEY_SECRET}")
	case len(c.AuthToken) == 0 && c.KeySID == "":
		return errors.New("token: is missing; write for example: token {env.TWILIO_TOKEN}")
	case c.From == "" && c.ServiceSID == "":
		return errors.New("from: is missing; write for example: from +15005550006, or a messaging service: service MG…")
	case c.From != "" && c.ServiceSID != "":
		return errors.New("from: there is a service as well, which chooses the number; write one of the two")
	case c.ServiceSID != "" && !serviceSID.MatchString(c.ServiceSID):
		return fmt.Errorf("service: %q is no messaging service SID; write MG and the 32 digits that follow it in Twilio's console", c.ServiceSID)
	case c.From != "" && !sender(c.From):
		return fmt.Errorf("from: %q is neither a number, a short code nor a name of up to 11 letters and digits; write for example: from +15005550006", c.From)
	}
	if err := outbound.CheckURL(c.base()); err != nil {
		return fmt.Errorf("url: %w", err)
	}
	return nil
}

func sender(from string) bool {
	return number.MatchString(from) || shortCode.MatchString(from) ||
		nameFrom.MatchString(from) && hasLetter.MatchString(from)
}

func (c Config) base() string {
	if c.BaseURL == "" {
		return defaultBase
	}
	return c.BaseURL
}
