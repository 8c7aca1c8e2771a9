package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/secondgate/secondgate/internal/clock"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/sender"
)

// SenderModule is a guest of the namespace mfa.senders.
type SenderModule interface {
	caddy.Module
	// channels are the channels that it can serve.
	channels() mfa.Kinds
	// sender returns what was made when the module was provisioned. It opens no
	// connection.
	sender(logger *slog.Logger) (mfa.Sender, error)
}

// sendersNamespace is where the guests are.
const sendersNamespace = "mfa.senders"

// senderChannels are the channels that can have a sender.
var senderChannels = mfa.KindsOf(mfa.Email, mfa.SMS)

// loadSenders makes the senders. It runs when the configuration is checked, too: it
// resolves secrets and opens nothing.
func (a *App) loadSenders(ctx caddy.Context) error {
	for _, channel := range slices.Sorted(maps.Keys(a.SendersRaw)) {
		if err := checkChannel(channel); err != nil {
			return err
		}
	}
	a.senders = map[mfa.Kind]mfa.Sender{}
	if len(a.SendersRaw) == 0 {
		return nil
	}
	loaded, err := ctx.LoadModule(a, "SendersRaw")
	if err != nil {
		return fmt.Errorf("loading the senders: %w", err)
	}
	mods := loaded.(map[string]any)
	for _, channel := range slices.Sorted(maps.Keys(mods)) {
		mod, ok := mods[channel].(SenderModule)
		if !ok {
			return fmt.Errorf("loading the senders: %T is no sender", mods[channel])
		}
		if err := checkServes(mod, channel); err != nil {
			return err
		}
		s, err := mod.sender(ctx.Slogger())
		if err != nil {
			return fmt.Errorf("sender %s: %w", channel, err)
		}
		a.senders[mfa.Kind(channel)] = &measuredSender{Sender: s, channel: channel, name: mod.CaddyModule().ID.Name(), price: priceOf(mod), metrics: counted}
	}
	return nil
}

// post returns what delivers letters with the senders of this configuration. Whoever
// calls it closes it.
func (a *App) post() (*sender.Post, error) {
	p, err := sender.New(sender.Config{
		Senders: a.senders,
		Brand:   sender.Brand{Name: a.brandName(), Support: a.Brand.Support},
		Origin:  a.lettersName(),
		Now:     clock.Now, Logger: a.ctx.Slogger(),
	})
	if err != nil {
		return nil, fmt.Errorf("making the post: %w", err)
	}
	return p, nil
}

// checkChannel refuses what is no channel.
func checkChannel(channel string) error {
	switch {
	case senderChannels.Has(mfa.Kind(channel)):
		return nil
	case strings.Contains(channel, ","):
		return fmt.Errorf("sender: %q is not one channel; write a line for each: sender email smtp { … }, sender sms twilio { … }", channel)
	case moduleNamed(channel):
		return fmt.Errorf("sender: %q is a sender, and the channel stands before it; write sender %s %s { … }", channel, servedBy(channel), channel)
	}
	if near := nearest(channel, []string{"email", "sms"}); near != "" {
		return fmt.Errorf("sender: %q is not a channel; write sender %s", channel, near)
	}
	return fmt.Errorf("sender: %q is not a channel; there are email and sms: sender email smtp { … }", channel)
}

// checkServes refuses a sender for a channel that it cannot serve.
func checkServes(mod SenderModule, channel string) error {
	if mod.channels().Has(mfa.Kind(channel)) {
		return nil
	}
	return fmt.Errorf("sender %s: %s sends %s only; write one of: %s", channel, mod.CaddyModule().ID.Name(), mod.channels(), strings.Join(sendersFor(channel), ", "))
}

// sendersFor returns the names of the senders that can serve a channel; the one for
// trials comes last.
func sendersFor(channel string) []string {
	var names []string
	for _, info := range caddy.GetModules(sendersNamespace) {
		if mod, ok := info.New().(SenderModule); ok && mod.channels().Has(mfa.Kind(channel)) {
			names = append(names, info.ID.Name())
		}
	}
	slices.Sort(names)
	if i := slices.Index(names, "log"); i >= 0 {
		names = append(slices.Delete(names, i, i+1), "log")
	}
	return names
}

func moduleNamed(name string) bool {
	_, err := caddy.GetModule(sendersNamespace + "." + name)
	return err == nil
}

// servedBy returns the first channel of a sender.
func servedBy(name string) string {
	for _, channel := range senderChannels.List() {
		if slices.Contains(sendersFor(string(channel)), name) {
			return string(channel)
		}
	}
	return "email"
}

// parseSender reads
//
//	sender email|sms smtp|twilio|webhook|log [{ … }]
//
// once for each channel.
func (a *App) parseSender(b *block) error {
	line := b.Token()
	if !b.NextArg() {
		return b.Err("sender: for which channel, and by what? Write for example: sender email smtp { … }")
	}
	channel := b.Val()
	if err := checkChannel(channel); err != nil {
		return b.WrapErr(err)
	}
	if _, twice := a.SendersRaw[channel]; twice {
		return b.Errf("sender %s: stands twice; write one sender for each channel", channel)
	}
	if !b.NextArg() {
		return b.Errf("sender %s: by what? Write one of: %s", channel, strings.Join(sendersFor(channel), ", "))
	}
	name := b.Val()
	info, err := caddy.GetModule(sendersNamespace + "." + name)
	if err != nil {
		return b.Errf("sender %s: there is no sender %q; write one of: %s", channel, name, strings.Join(sendersFor(channel), ", "))
	}
	s, ok := info.New().(SenderModule)
	if !ok {
		return b.Errf("sender %s: %q is no sender", channel, name)
	}
	if err := checkServes(s, channel); err != nil {
		return b.WrapErr(err)
	}
	mod, err := caddyfile.UnmarshalModule(b.Dispenser, sendersNamespace+"."+name)
	if err != nil {
		return err
	}
	if a.SendersRaw == nil {
		a.SendersRaw = map[string]json.RawMessage{}
	}
	a.SendersRaw[channel] = caddyconfig.JSONModuleObject(mod, "module", name, nil)
	// The option may stand once for each channel.
	delete(b.seen, "sender")
	b.seen["sender "+channel] = line
	return nil
}

// guest begins to read the block of a sender.
func guest(d *caddyfile.Dispenser, name string) (*block, error) {
	if !d.Next() {
		return nil, d.ArgErr()
	}
	b := &block{Dispenser: d, name: name, first: d.Token(), seen: make(map[string]caddyfile.Token)}
	if d.NextArg() {
		return nil, d.Errf("%s: %q is one word too many; its options stand in a block: %s { … }", name, d.Val(), name)
	}
	return b, nil
}

// reader returns a value of the configuration.
type reader func(value, example string) (string, error)

// written reads a value as it is written. Where it has a placeholder, what will stand
// there is not known yet, and an example stands in for it: whatever else is wrong is
// told where it stands.
func written(value, example string) (string, error) {
	if strings.Contains(value, "{") {
		return example, nil
	}
	return value, nil
}

// resolved reads a value with its placeholders replaced. It is kept in memory alone:
// what Caddy shows of its configuration, and saves of it, has the placeholder.
func resolved(value, _ string) (string, error) {
	return caddy.NewReplacer().ReplaceOrErr(value, true, true)
}

// values are what a sender reads, each with the option that it stands in.
type values []struct{ option, value, example string }

// read reads them in their order.
func (v values) read(read reader) ([]string, error) {
	var list []string
	for _, each := range v {
		value, err := read(each.value, each.example)
		if err != nil {
			return nil, fmt.Errorf("%s: reading what stands there: %w", each.option, err)
		}
		list = append(list, value)
	}
	return list, nil
}

// warnOpen tells of a secret that stands in the configuration as it is.
func warnOpen(ctx caddy.Context, option, value string) {
	if value != "" && !strings.Contains(value, "{") {
		ctx.Slogger().Warn("a secret stands in the configuration itself, which Caddy's admin endpoint shows and autosave.json keeps; write {env.NAME} or {file./path} instead", "option", option)
	}
}

// splitPort takes the port off a host, where it has one.
func splitPort(text string) (host string, port int, err error) {
	host, digits, err := net.SplitHostPort(text)
	if err != nil || strings.Contains(text, "/") {
		return strings.Trim(text, "[]"), 0, nil // a name or an address alone, or neither
	}
	port, err = strconv.Atoi(digits)
	if err != nil || port < 1 || port > 65535 {
		return "", 0, errors.New("host: " + strconv.Quote(text) + " has no port that there can be; write for example: host smtp.example.com:587")
	}
	return host, port, nil
}
