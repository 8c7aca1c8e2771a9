package caddymodule

import (
	"fmt"
	"log/slog"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/secondgate/secondgate/internal/clock"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/sender/webhook"
)

func init() {
	caddy.RegisterModule(new(WebhookSender))
}

// WebhookSender hands messages to a gateway of yours as signed JSON. Every text may
// have placeholders, {env.NAME} or {file./path}, which are replaced when the
// configuration is loaded.
type WebhookSender struct {
	// URL takes the messages. It begins with https://, but on this machine itself.
	URL string `json:"url,omitempty"`
	// Secret signs them, as the Standard Webhooks specification says: "whsec_" and
	// the base64 of 24 bytes or more, or 24 bytes or more as they are; best by
	// {env.NAME} or {file./path}.
	Secret string `json:"secret,omitempty"`
	// CA is a file with the certificate of the authority that the gateway's own is
	// from, as PEM. The default is what the system trusts.
	CA string `json:"ca,omitempty"`
	// Price is what one message costs you, in a currency of your choice: for the
	// metric of what was spent.
	Price float64 `json:"price,omitempty"`

	made *webhook.Sender
}

// CaddyModule returns the Caddy module information.
func (*WebhookSender) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "mfa.senders.webhook", New: func() caddy.Module { return new(WebhookSender) }}
}

// Provision resolves the placeholders and checks the rest. It opens no connection.
func (s *WebhookSender) Provision(ctx caddy.Context) error {
	c, err := s.config(resolved)
	if err != nil {
		return fmt.Errorf("webhook: %w", err)
	}
	ca, err := resolved(s.CA, "")
	if err != nil {
		return fmt.Errorf("webhook: ca: reading what stands there: %w", err)
	}
	if c.Roots, err = roots(ca); err != nil {
		return fmt.Errorf("webhook: %w", err)
	}
	if err := checkPrice(s.Price); err != nil {
		return fmt.Errorf("webhook: %w", err)
	}
	if s.made, err = webhook.New(c); err != nil {
		return fmt.Errorf("webhook: %w", err)
	}
	warnOpen(ctx, "secret", s.Secret)
	return nil
}

// config returns the configuration with each value as read gives it.
func (s *WebhookSender) config(read reader) (webhook.Config, error) {
	v, err := values{
		{"url", s.URL, "https://sms.example.com/send"}, {"secret", s.Secret, "a secret of more than 24 bytes"},
	}.read(read)
	if err != nil {
		return webhook.Config{}, err
	}
	return webhook.Config{URL: v[0], Secret: mfa.Secret(v[1]), Now: clock.Now}, nil
}

// UnmarshalCaddyfile reads
//
//	webhook {
//		url    URL
//		secret SECRET
//		ca     FILE
//		price  NUMBER
//	}
func (s *WebhookSender) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	b, err := guest(d, "webhook")
	if err != nil {
		return err
	}
	err = b.each(map[string]func() error{
		"url":    func() error { return b.word(&s.URL, "url https://sms.example.com/send") },
		"secret": func() error { return b.word(&s.Secret, "secret {env.WEBHOOK_SECRET}") },
		"ca":     func() error { return b.text(&s.CA, "ca /etc/ssl/gateway-ca.pem") },
		"price":  func() error { return b.price(&s.Price) },
	})
	if err != nil {
		return err
	}
	c, err := s.config(written)
	if err == nil {
		err = c.Validate()
	}
	return b.within("webhook", err)
}

func (*WebhookSender) channels() mfa.Kinds { return senderChannels }

func (s *WebhookSender) sender(*slog.Logger) (mfa.Sender, error) { return s.made, nil }

func (s *WebhookSender) messagePrice() float64 { return s.Price }

var (
	_ SenderModule          = (*WebhookSender)(nil)
	_ caddy.Provisioner     = (*WebhookSender)(nil)
	_ priced                = (*WebhookSender)(nil)
	_ caddyfile.Unmarshaler = (*WebhookSender)(nil)
)
