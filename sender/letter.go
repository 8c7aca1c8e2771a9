package sender

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// Brand is whose gate writes. The zero value is Secondgate's own.
type Brand struct {
	Name    string // empty: Secondgate
	Support string // whom to ask; empty: "your administrator"
}

// writer puts letters into words.
type writer struct {
	words  *catalogue
	brand  Brand
	origin func(asked string) string
}

func newWriter(b Brand, origin func(asked string) string) (*writer, error) {
	if origin == nil {
		origin = func(asked string) string { return asked }
	}
	words, err := loadWords()
	if err != nil {
		return nil, err
	}
	b.Name = clean(b.Name, maxName)
	if b.Name == "" {
		b.Name = "Secondgate"
	}
	// As text, without what makes programs turn it into a link: in a letter with a
	// link there is one, and in a letter with a code there is none.
	b.Support = strings.TrimSuffix(strings.TrimPrefix(clean(b.Support, 256), "https://"), "/")
	return &writer{words: words, brand: b, origin: origin}, nil
}

// sheet is a letter in words, before it becomes text or HTML.
type sheet struct {
	Lang, Dir      string
	Brand, Title   string
	Greeting, Text string
	Code           string
	Link, LinkText string
	Facts          []fact
	After          []string
	Bound          string // the line that binds the code to its host
}

// fact is a line of a notice.
type fact struct{ Label, Value string }

// code is what a code may look like, so that it can stand in any line.
var code = regexp.MustCompile(`^[0-9A-Za-z-]{4,16}$`)

// draft is one letter on its way into words.
type draft struct {
	*language
	letter *mfa.Letter
	host   string // which the letter names; "": none
	brand  string
	v      values
}

// write returns the letter as a message. It is an error where the letter lacks what
// its kind needs; nothing secret is in its text.
func (w *writer) write(l *mfa.Letter, id string, now time.Time) (*mfa.Message, error) {
	d := w.draft(l)
	if err := d.check(); err != nil {
		return nil, fmt.Errorf("writing a letter %q: %w", l.Kind, err)
	}
	m := &mfa.Message{ID: id, Kind: l.Kind, Channel: l.Channel, To: l.To, Language: d.tag, Code: d.code()}
	if l.Life > 0 {
		m.Expires = now.Add(l.Life)
	}
	if l.Channel == mfa.SMS {
		m.Text = d.short()
		return m, nil
	}
	s := d.sheet()
	m.Subject, m.Text = d.text("subject", values{"brand": d.brand, "title": s.Title}), s.text()
	var err error
	m.HTML, err = s.html()
	return m, err
}

func (w *writer) draft(l *mfa.Letter) *draft {
	d := &draft{language: w.words.choose(l.Language), letter: l, host: hostOf(w.origin(l.Origin)), brand: w.brand.Name}
	support, place := w.brand.Support, d.host
	if support == "" {
		support = d.text("support.default", nil)
	}
	if place == "" { // a command on the server, which belongs to no page, or a host that is not to be named
		place = d.brand
	}
	d.v = values{
		"brand": d.brand, "place": place, "support": support, "name": clean(l.UserName, maxName),
		"code": string(d.code()), "time": d.span(l.Life),
	}
	if n := l.Notice; n != nil {
		d.v["what"], d.v["when"] = d.what(n), n.At.UTC().Format(d.text("format.time.sms", nil))
	}
	if c := l.Campaign; c != nil {
		d.campaignValues(c)
	}
	return d
}

// hasCode and hasLink report what the kind of letter carries.
func (d *draft) hasCode() bool {
	switch d.letter.Kind {
	case mfa.LetterVerify, mfa.LetterSetUp, mfa.LetterSignIn, mfa.LetterSignUp:
		return true
	}
	return false
}

func (d *draft) hasLink() bool {
	switch d.letter.Kind {
	case mfa.LetterPasswordReset, mfa.LetterInvitation:
		return true
	case mfa.LetterCampaign:
		return len(d.letter.Link) > 0 // where no host may be named, there is none
	}
	return false
}

// code returns the code where the kind of letter has one. A letter of another kind
// does not say it, whatever it holds; nor a link.
func (d *draft) code() mfa.Secret {
	if !d.hasCode() {
		return nil
	}
	return d.letter.Code
}

func (d *draft) check() error {
	l := d.letter
	switch {
	case l.To == "":
		return errors.New("it has no address")
	case d.hasCode() && !code.Match(l.Code):
		return errors.New("it has no code that could be read")
	case d.hasCode() && !placed(l.Origin):
		return errors.New("it has a code and does not say for which host")
	case l.Kind == mfa.LetterCampaign && l.Campaign == nil:
		return errors.New("it does not say which campaign it is of")
	case d.hasLink():
		u, err := url.Parse(string(l.Link))
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || strings.ContainsAny(string(l.Link), " \"<>") {
			return errors.New("it has no link that could be opened")
		}
	case d.hasCode(), l.Kind == mfa.LetterHasAccount:
	case l.Kind == mfa.LetterNotice && l.Notice != nil, l.Kind == mfa.LetterCampaign:
	default:
		return errors.New("there are no words for it")
	}
	return nil
}

// bound returns the line by which a browser offers the code on the page that it is
// for, and on no other.
func (d *draft) bound() string {
	if !d.hasCode() || d.host == "" {
		return ""
	}
	return "@" + d.host + " #" + string(d.letter.Code)
}

// short returns the letter as a text message: what costs little, and its last line
// by itself.
func (d *draft) short() string {
	kind := string(d.letter.Kind)
	if d.letter.Kind == mfa.LetterNotice {
		return d.text(d.first(noticeKey(d.letter.Notice)+".sms", "notice.other.sms"), d.v)
	}
	parts := []string{d.text(kind+".sms", d.v)}
	switch {
	case d.letter.Life <= 0, d.letter.Kind == mfa.LetterCampaign:
	case d.hasCode():
		parts = append(parts, d.text("sms.life", d.v))
	case d.hasLink():
		parts = append(parts, d.text("sms.link.life", d.v))
	}
	parts = append(parts, d.text(d.first(kind+".sms.not_you", "sms.ignore"), d.v))
	text := strings.Join(parts, " ")
	switch {
	case d.hasLink():
		text += "\n" + string(d.letter.Link)
	case d.bound() != "":
		text += "\n" + d.bound()
	}
	return text
}

func (d *draft) sheet() *sheet {
	kind := string(d.letter.Kind)
	s := &sheet{
		Lang: d.tag, Dir: d.text("language.dir", nil), Brand: d.brand,
		Code: string(d.code()), Bound: d.bound(),
		Greeting: d.text("greeting.nobody", nil),
	}
	if d.v["name"] != "" {
		s.Greeting = d.text("greeting", d.v)
	}
	if d.letter.Kind == mfa.LetterNotice {
		d.notice(s, d.letter.Notice)
		return s
	}
	s.Title, s.Text = d.text(kind+".title", d.v), d.text(kind+".text", d.v)
	life := "code.life"
	if d.hasLink() {
		s.Link, s.LinkText, life = string(d.letter.Link), d.text(kind+".link", nil), "link.life"
	}
	if c := d.letter.Campaign; c != nil && d.letter.Kind == mfa.LetterCampaign {
		d.campaign(s, c)
	} else if (d.hasCode() || d.hasLink()) && d.letter.Life > 0 {
		s.After = append(s.After, d.text(life, d.v))
	}
	if d.hasCode() {
		s.After = append(s.After, d.text("code.never", d.v))
	}
	s.After = append(s.After, d.text(kind+".not_you", d.v))
	return s
}
