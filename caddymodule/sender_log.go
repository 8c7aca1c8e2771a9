package caddymodule

import (
	"log/slog"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/sender/log"
)

func init() {
	caddy.RegisterModule(new(LogSender))
}

// LogSender prints messages in Caddy's log instead of sending them: for trials only.
type LogSender struct {
	// InsecureTrial says that you know what it means: whoever reads the log reads
	// the codes and links in it, and can pass for anybody.
	InsecureTrial bool `json:"insecure_trial,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*LogSender) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "mfa.senders.log", New: func() caddy.Module { return new(LogSender) }}
}

// UnmarshalCaddyfile reads
//
//	log {
//		insecure_trial
//	}
func (s *LogSender) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	b, err := guest(d, "log")
	if err != nil {
		return err
	}
	err = b.each(map[string]func() error{
		"insecure_trial": func() error { s.InsecureTrial = true; return b.noWord("insecure_trial") },
	})
	if err != nil {
		return err
	}
	_, err = s.sender(slog.New(slog.DiscardHandler))
	return b.within("log", err)
}

func (*LogSender) channels() mfa.Kinds { return senderChannels }

func (s *LogSender) sender(logger *slog.Logger) (mfa.Sender, error) {
	return log.New(log.Config{InsecureTrial: s.InsecureTrial, Logger: logger})
}

var (
	_ SenderModule          = (*LogSender)(nil)
	_ caddyfile.Unmarshaler = (*LogSender)(nil)
)
