package sender

import (
	"slices"
	"strings"

	"github.com/secondgate/secondgate/mfa"
)

// noticeKey begins the keys of the words for a notice.
func noticeKey(n *mfa.Notice) string { return "notice." + string(n.Kind) }

// notice says what happened, when and from where, and what to do about it. A kind of
// notice that has no words yet is told in general ones: that something happened is
// worth more than what it was.
func (d *draft) notice(s *sheet, n *mfa.Notice) {
	key := noticeKey(n)
	s.Title = d.text(d.first(key+".title", "notice.other.title"), d.v)
	s.Text = d.text(d.first(key+".text", "notice.other.text"), d.v)
	s.After = append(s.After, d.text(d.first(key+".not_you", "notice.not_you"), d.v))
	switch {
	case slices.Contains(wordless, n.Kind):
	case n.Factor != "", n.Kind == mfa.NoticeReset:
		s.Facts = append(s.Facts, fact{d.text("fact.what", nil), d.what(n)})
	case n.Name != "": // of a device
		s.Facts = append(s.Facts, fact{d.text("fact.what", nil), d.agent(n.Name)})
	}
	s.Facts = append(s.Facts, fact{d.text("fact.when", nil), n.At.UTC().Format(d.text("format.time", nil))})
	switch {
	case n.Agent != "":
		s.Facts = append(s.Facts, fact{d.text("fact.agent", nil), d.agent(n.Agent)})
	case n.Kind == mfa.NoticeReset:
		s.Facts = append(s.Facts, fact{d.text("fact.by", nil), d.text("fact.by.admin", nil)})
	}
	if network := clean(n.Network, maxName); network != "" {
		s.Facts = append(s.Facts, fact{d.text("fact.network", nil), network})
	}
}

// wordless are the notices whose text says what it is about by itself.
var wordless = []mfa.NoticeKind{mfa.NoticeNewCodes, mfa.NoticeCodeUsed, "codes_low", mfa.NoticePassword, mfa.NoticeOptedOut, mfa.NoticeEmail}

// defaultAppName is what the core calls a first authenticator app that nobody named.
const defaultAppName = "Authenticator app"

// what names the factor that a notice is about, with the name that its owner gave it.
func (d *draft) what(n *mfa.Notice) string {
	if n.Factor == "" {
		return d.text("kind.all", nil)
	}
	what := d.text(d.first("kind."+string(n.Factor), "kind.unknown"), nil)
	if name := clean(n.Name, maxName); name != "" && name != defaultAppName && d.letter.Channel != mfa.SMS {
		return d.text("kind.named", values{"factor": what, "name": d.agent(name)})
	}
	return what
}

// systems are the endings of the browser names that the edge makes.
var systems = []string{"iPhone", "iPad", "Android", "Windows", "ChromeOS", "macOS", "Linux", "FreeBSD"}

// agent names a browser in the person's language. The edge writes "Firefox on
// Linux", and a passkey is called so until somebody gives it another name, which
// stays as it is.
func (d *draft) agent(name string) string {
	name = clean(name, maxName)
	switch name {
	case "", "?", "Unknown browser":
		return d.text("agent.unknown", nil)
	}
	browser, system, ok := strings.Cut(name, " on ")
	if !ok || !slices.Contains(systems, system) {
		return name
	}
	return d.text("agent.on", values{"browser": browser, "system": system})
}
