package caddymodule

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/secondgate/secondgate/internal/clock"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/sender/twilio"
)

func init() {
	caddy.RegisterModule(new(TwilioSender))
}

// TwilioSender sends text messages through Twilio. Every text may have placeholders,
// {env.NAME} or {file./path}, which are replaced when the configuration is loaded.
type TwilioSender struct {
	// Account is the account SID: AC and 32 digits.
	Account string `json:"account,omitempty"`
	// Token is the account's auth token: {env.NAME} or {file./path}. A key is
	// better: it can be revoked by itself.
	Token string `json:"token,omitempty"`
	// Key is the SID of an API key: SK and 32 digits.
	Key string `json:"key,omitempty"`
	// KeySecret is the secret of that key: {env.NAME} or {file./path}.
	KeySecret string `json:"key_secret,omitempty"`
	// From is the number that messages come from, "+15005550006", or a short
	// code, or a name of up to 11 letters and digits where the country allows it.
	From string `json:"from,omitempty"`
	// Service is the SID of a messaging service, in place of From: MG and 32
	// digits.
	Service string `json:"service,omitempty"`
	// URL is where the provider is asked. The default is https://api.twilio.com.
	URL string `json:"url,omitempty"`
	// Price is what one message costs you, in a currency of your choice: for the
	// metric of what was spent.
	Price float64 `json:"price,omitempty"`

	made *twilio.Sender
}

// CaddyModule returns the Caddy module information.
func (*TwilioSender) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "mfa.senders.twilio", New: func() caddy.Module { return new(TwilioSender) }}
}

// Provision resolves the placeholders and checks the rest. It opens no connection.
func (s *TwilioSender) Provision(ctx caddy.Context) error {
	c, err := s.config(resolved)
	if err == nil {
		err = checkPrice(s.Price)
	}
	if err == nil {
		s.made, err = twilio.New(c)
	}
	if err != nil {
		return fmt.Errorf("twilio: %w", err)
	}
	warnOpen(ctx, "token", s.Token)
	warnOpen(ctx, "key", s.KeySecret)
	return nil
}

// config returns the configuration with each value as read gives it.
func (s *TwilioSender) config(read reader) (twilio.Config, error) {
	digits := strings.Repeat("0", 32)
	v, err := values{
		{"account", s.Account, "AC" + digits}, {"token", s.Token, "secret"}, {"key", s.Key, "SK" + digits}, {"key", s.KeySecret, "secret"},
		{"from", s.From, "+15005550006"}, {"service", s.Service, "MG" + digits}, {"url", s.URL, "https://api.twilio.com"},
	}.read(read)
	if err != nil {
		return twilio.Config{}, err
	}
	return twilio.Config{
		AccountSID: v[0], AuthToken: mfa.Secret(v[1]), KeySID: v[2], KeySecret: mfa.Secret(v[3]),
		From: v[4], ServiceSID: v[5], BaseURL: v[6], Now: clock.Now,
	}, nil
}

// UnmarshalCaddyfile reads
//
//	twilio {
//		account SID
//		token   SECRET
//		key     SID SECRET
//		from    NUMBER
//		service SID
//		url     URL
//		price   NUMBER
//	}
func (s *TwilioSender) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	b, err := guest(d, "twilio")
	if err != nil {
		return err
	}
	err = b.each(map[string]func() error{
		"account": func() error { return b.word(&s.Account, "account AC…") },
		"token":   func() error { return b.word(&s.Token, "token {env.TWILIO_TOKEN}") },
		"key": func() error {
			args := b.RemainingArgs()
			if len(args) != 2 {
				return b.Err("key: needs its SID and its secret; write for example: key SK… {env.TWILIO_KEY_SECRET}")
			}
			s.Key, s.KeySecret = args[0], args[1]
			return nil
		},
		"from":    func() error { return b.text(&s.From, "from +15005550006") },
		"service": func() error { return b.word(&s.Service, "service MG…") },
		"url":     func() error { return b.word(&s.URL, "url https://api.twilio.com") },
		"price":   func() error { return b.price(&s.Price) },
	})
	if err != nil {
		return err
	}
	c, err := s.config(written)
	if err == nil {
		err = c.Validate()
	}
	return b.within("twilio", err)
}

func (*TwilioSender) channels() mfa.Kinds { return mfa.KindsOf(mfa.SMS) }

func (s *TwilioSender) sender(*slog.Logger) (mfa.Sender, error) { return s.made, nil }

func (s *TwilioSender) messagePrice() float64 { return s.Price }

var (
	_ SenderModule          = (*TwilioSender)(nil)
	_ caddy.Provisioner     = (*TwilioSender)(nil)
	_ priced                = (*TwilioSender)(nil)
	_ caddyfile.Unmarshaler = (*TwilioSender)(nil)
)
