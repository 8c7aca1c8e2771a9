package sender

import (
	"flag"
	"fmt"
	"html"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func newTestWriter(t testing.TB, b Brand) *writer {
	t.Helper()
	w, err := newWriter(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// letterKinds are the kinds of letter that are no notices.
var letterKinds = []mfa.LetterKind{
	mfa.LetterVerify, mfa.LetterSetUp, mfa.LetterSignIn, mfa.LetterSignUp,
	mfa.LetterHasAccount, mfa.LetterPasswordReset, mfa.LetterInvitation, mfa.LetterCampaign,
}

// samples returns a letter of each kind, by name, with whatever its kind has. What it
// has no business to hold is there all the same: it must not be said.
func samples(channel mfa.Kind, language string) map[string]*mfa.Letter {
	letters := map[string]*mfa.Letter{}
	for _, kind := range letterKinds {
		l := &mfa.Letter{
			Kind: kind, Channel: channel, To: "alice@example.com", Language: language,
			Origin: "https://app.example.com:8443", UserName: "alice", Code: mfa.Secret("12345678"),
			Link: mfa.Secret("https://app.example.com/.mfa/link#abcDEF_-123"), Life: 5 * time.Minute,
		}
		switch kind {
		case mfa.LetterSignUp, mfa.LetterHasAccount:
			l.UserName = "" // to a stranger
		case mfa.LetterPasswordReset:
			l.Life = 30 * time.Minute
		case mfa.LetterInvitation:
			l.Life = 24 * time.Hour
		case mfa.LetterCampaign:
			l.Life, l.Link = 0, mfa.Secret("https://app.example.com/.mfa/account")
			l.Campaign = &mfa.CampaignPrompt{
				Organization: "Sales of Acme", Factors: mfa.KindsOf(mfa.Passkey, mfa.TOTP), Deadline: noon.Add(7*24*time.Hour - time.Minute), DaysLeft: 7, Required: true,
			}
		}
		if channel == mfa.SMS {
			l.To, l.Code = "+4930123456", mfa.Secret("123456")
		}
		letters[string(kind)] = l
	}
	for kind, n := range notices() {
		n.Kind = kind
		letters["notice_"+string(kind)] = &mfa.Letter{
			Kind: mfa.LetterNotice, Channel: channel, To: "alice@example.com", Language: language,
			Origin: "https://app.example.com", UserName: "alice", Notice: &n,
			Code: mfa.Secret("12345678"), Link: mfa.Secret("https://app.example.com/.mfa/link#abcDEF_-123"),
		}
	}
	return letters
}

func notices() map[mfa.NoticeKind]mfa.Notice {
	at := noon.Add(-2 * time.Hour).In(time.FixedZone("somewhere", 3*60*60))
	n := mfa.Notice{At: at, Agent: "Firefox on Linux", Network: "192.0.2.0/24"}
	with := func(factor mfa.Kind, name string) mfa.Notice {
		n := n
		n.Factor, n.Name = factor, name
		return n
	}
	reset, device := mfa.Notice{At: at}, n
	device.Name = "Safari on iPhone"
	return map[mfa.NoticeKind]mfa.Notice{
		mfa.NoticeAdded:    with(mfa.Passkey, "MacBook"),
		mfa.NoticeRemoved:  with(mfa.TOTP, "Authenticator app"),
		mfa.NoticeRenamed:  with(mfa.Passkey, "MacBook"),
		mfa.NoticeEmail:    with(mfa.Email, ""),
		mfa.NoticeNewCodes: with(mfa.BackupCode, ""),
		mfa.NoticeCodeUsed: with(mfa.BackupCode, ""),
		mfa.NoticePassword: with(mfa.Password, ""),
		mfa.NoticeOptedOut: n,
		mfa.NoticeCloned:   with(mfa.Passkey, "Firefox on Linux"),
		mfa.NoticeLocked:   with(mfa.TOTP, "Phone"),
		mfa.NoticeReset:    reset,
		"codes_low":        with(mfa.BackupCode, ""),
		"new_device":       n,
		"stolen_device":    device,
		mfa.NoticeAppToken: with("", "git on the laptop"), mfa.NoticeAppTokenGone: with("", "git on the laptop"),
		"of_tomorrow": with("palm_reader", ""),
	}
}

// Each file in testdata is a letter in one language: the e-mail message as text and
// as HTML, and the text message.
func TestWrite_Golden(t *testing.T) {
	w := newTestWriter(t, Brand{Name: "Acme", Support: "help@example.com"})
	for _, language := range tags {
		texts := samples(mfa.SMS, language)
		for name, l := range samples(mfa.Email, language) {
			t.Run(language+"/"+name, func(t *testing.T) {
				mail, err := w.write(l, "id", noon)
				if err != nil {
					t.Fatal(err)
				}
				short, err := w.write(texts[name], "id", noon)
				if err != nil {
					t.Fatal(err)
				}
				got := fmt.Sprintf("-- subject --\n%s\n-- text --\n%s-- sms --\n%s\n-- html --\n%s", mail.Subject, mail.Text, short.Text, mail.HTML)
				file := filepath.Join("testdata", language, name+".txt")
				if *update {
					if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if got != string(want) {
					t.Errorf("got\n%s\nwant\n%s", got, want)
				}
			})
		}
	}
}

var anyLink = regexp.MustCompile(`(?i)[a-z]+://|href=|src=|url\(|mailto:|www\.`)

// AC-172: a letter with a code says the code, what it is for and where, how long it
// holds, and what to do if one did not ask; its subject does not say the code; its
// last line binds the code to its host; nothing in it can be clicked.
func TestWrite_AC172_Codes(t *testing.T) {
	w := newTestWriter(t, Brand{Name: "Acme", Support: "https://help.example.com/"})
	for _, language := range tags {
		for _, channel := range []mfa.Kind{mfa.Email, mfa.SMS} {
			for name, l := range samples(channel, language) {
				m, err := w.write(l, "id", noon)
				if err != nil {
					t.Fatal(err)
				}
				code, where := string(l.Code), language+" "+string(channel)+" "+name
				if strings.Contains(m.Subject, code) {
					t.Errorf("%s: the subject says the code: %q", where, m.Subject)
				}
				if m.Code == nil {
					if strings.Contains(m.Text+m.HTML, code) {
						t.Errorf("%s says a code", where)
					}
					continue
				}
				lines := strings.Split(strings.TrimSuffix(m.Text, "\n"), "\n")
				if last := lines[len(lines)-1]; last != "@app.example.com #"+code {
					t.Errorf("%s: the last line is %q", where, last)
				}
				rest := strings.Join(lines[:len(lines)-1], "\n")
				for _, part := range []string{code, "app.example.com", "5 Min", "?"} {
					if n := strings.Count(strings.ToLower(rest), strings.ToLower(part)); n != 1 {
						t.Errorf("%s: the text says %q %d times", where, part, n)
					}
					if channel == mfa.Email && !strings.Contains(strings.ToLower(m.HTML), strings.ToLower(part)) {
						t.Errorf("%s: the HTML does not say %q", where, part)
					}
				}
				if found := anyLink.FindString(m.Text + m.HTML); found != "" {
					t.Errorf("%s has a link: %q", where, found)
				}
				if m.Expires != noon.Add(5*time.Minute) {
					t.Errorf("%s expires at %s", where, m.Expires)
				}
			}
		}
	}
}

// A letter with a link has that one and no other, as text and as HTML.
func TestWrite_OneLink(t *testing.T) {
	w := newTestWriter(t, Brand{Name: "Acme", Support: "https://help.example.com/"})
	for _, language := range tags {
		for _, channel := range []mfa.Kind{mfa.Email, mfa.SMS} {
			for name, l := range samples(channel, language) {
				want := 0
				if l.Kind == mfa.LetterPasswordReset || l.Kind == mfa.LetterInvitation || l.Kind == mfa.LetterCampaign {
					want = 1
				}
				m, err := w.write(l, "id", noon)
				if err != nil {
					t.Fatal(err)
				}
				if n := strings.Count(m.Text, "://"); n != want || strings.Count(m.Text, string(l.Link)) != want {
					t.Errorf("%s %s %s: the text has %d links", language, channel, name, n)
				}
				if channel == mfa.SMS {
					continue
				}
				page := html.UnescapeString(m.HTML)
				if n := strings.Count(page, "://"); n != want || strings.Count(page, `href="`+string(l.Link)+`"`) != want {
					t.Errorf("%s %s %s: the HTML has %d links", language, channel, name, n)
				}
			}
		}
	}
}

// hostile are names as somebody chooses who wants more than a name.
var hostile = []string{
	"alice\r\nBcc: victim@example.com",
	"alice\nSubject: other",
	"alice\r\n\r\nA paragraph of my own.",
	"alice\u2028line\u2029paragraph\u0085next",
	"\x00\x1b[2Jalice\x7f",
	"\u202ealice\u2066\u200e",
	"<img src=https://evil.example/x>",
	`"><a href="https://evil.example">here</a>`,
	"</p></div><h1>Acme",
	"{code} {support} {{.Code}}",
	strings.Repeat("long ", 1000),
	"\xff\xfe",
}

// AC-172: nothing that somebody chose can add a header, a line or a tag, or read what
// is not its own.
func TestWrite_AC172_RejectsInjection(t *testing.T) {
	for _, name := range hostile {
		plain := newTestWriter(t, Brand{Name: "Acme", Support: "help@example.com"})
		for _, language := range tags {
			for kind, l := range samples(mfa.Email, language) {
				usual, err := plain.write(l, "id", noon)
				if err != nil {
					t.Fatal(err)
				}
				if l.UserName != "" {
					l.UserName = name
				}
				if l.Campaign != nil {
					l.Campaign.Organization = "A " + name
				}
				if n := l.Notice; n != nil {
					if n.Name != "" && n.Name != defaultAppName {
						n.Name = name
					}
					if n.Agent != "" {
						n.Agent, n.Network = "A "+name, "A "+name
					}
				}
				m, err := newTestWriter(t, Brand{Name: "A " + name, Support: "A " + name}).write(l, "id", noon)
				if err != nil {
					t.Fatal(err)
				}
				if lines := strings.FieldsFunc(m.Subject, func(r rune) bool { return strings.ContainsRune("\r\n\u0085\u2028\u2029", r) }); len(lines) != 1 || len([]rune(m.Subject)) > 200 {
					t.Errorf("%s %q: the subject is %q", kind, name, m.Subject)
				}
				for part, pair := range map[string][2]string{"text": {usual.Text, m.Text}, "HTML": {usual.HTML, m.HTML}} {
					if want, got := strings.Count(pair[0], "\n"), strings.Count(pair[1], "\n"); got != want {
						t.Errorf("%s %q: the %s has %d lines, not %d", kind, name, part, got, want)
					}
					if found := strings.IndexFunc(pair[1], func(r rune) bool {
						return r < ' ' && r != '\n' || strings.ContainsRune("\x7f\u0085\u2028\u2029\u202e\u2066\u200e\ufffd", r)
					}); found >= 0 {
						t.Errorf("%s %q: the %s has a control character at %q", kind, name, part, pair[1][found:min(found+20, len(pair[1]))])
					}
				}
				if want, got := strings.Count(usual.HTML, "<"), strings.Count(m.HTML, "<"); got != want {
					t.Errorf("%s %q: the HTML has %d tags, not %d", kind, name, got, want)
				}
				if m.Code != nil && strings.Count(m.Text, string(m.Code)) != 2 {
					t.Errorf("%s %q: a name can say the code", kind, name)
				}
			}
		}
	}
}

// A letter that lacks what its kind needs is not sent half.
func TestWrite_RejectsWhatIsNotWhole(t *testing.T) {
	w := newTestWriter(t, Brand{})
	tests := []struct {
		name   string
		change func(*mfa.Letter)
	}{
		{"no address", func(l *mfa.Letter) { l.To = "" }},
		{"no code", func(l *mfa.Letter) { l.Code = nil }},
		{"a code with a line break", func(l *mfa.Letter) { l.Code = mfa.Secret("1234\n@evil.example #1234") }},
		{"a code of words", func(l *mfa.Letter) { l.Code = mfa.Secret("this is no code") }},
		{"a code without a host", func(l *mfa.Letter) { l.Origin = "" }},
		{"a host with a line break", func(l *mfa.Letter) { l.Origin = "https://app.example.com\n@evil.example #1" }},
		{"a host with a space", func(l *mfa.Letter) { l.Origin = "https://app.example.com%20x" }},
		{"no link", func(l *mfa.Letter) { l.Kind, l.Link = mfa.LetterInvitation, nil }},
		{"a link that runs", func(l *mfa.Letter) { l.Kind, l.Link = mfa.LetterInvitation, mfa.Secret("javascript:alert(1)") }},
		{"two links", func(l *mfa.Letter) {
			l.Kind, l.Link = mfa.LetterInvitation, mfa.Secret("https://a.example/x https://b.example/y")
		}},
		{"a reminder of nothing", func(l *mfa.Letter) { l.Kind = mfa.LetterCampaign }},
		{"a reminder with a link that runs", func(l *mfa.Letter) {
			l.Kind, l.Campaign, l.Link = mfa.LetterCampaign, new(mfa.CampaignPrompt), mfa.Secret("javascript:alert(1)")
		}},
		{"a notice of nothing", func(l *mfa.Letter) { l.Kind = mfa.LetterNotice }},
		{"a kind without words", func(l *mfa.Letter) { l.Kind = "greeting" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := samples(mfa.Email, "en")["verify"]
			tt.change(l)
			m, err := w.write(l, "id", noon)
			if err == nil {
				t.Fatalf("it became %q", m.Text)
			}
			if len(l.Code) > 0 && strings.Contains(err.Error(), string(l.Code)) || strings.Contains(err.Error(), "://") || strings.Contains(err.Error(), "alice") {
				t.Errorf("the error says too much: %v", err)
			}
		})
	}
}

// A letter that no page asked for, but a command on the server, has no host to name.
func TestWrite_WithoutAPage(t *testing.T) {
	l := samples(mfa.Email, "en")["notice_reset"]
	l.Origin, l.UserName = "", ""
	m, err := newTestWriter(t, Brand{}).write(l, "id", noon)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Hello,", "account at Secondgate", "ask your administrator", "By: an administrator"} {
		if !strings.Contains(m.Text, want) {
			t.Errorf("the text does not say %q:\n%s", want, m.Text)
		}
	}
	if !m.Expires.IsZero() {
		t.Errorf("it expires at %s", m.Expires)
	}
}

// AC-169: a letter names the host that it may name, or nobody's, and never binds its
// code to the one that was asked.
func TestWrite_AC169_NamesHostsOfOursAlone(t *testing.T) {
	for name, c := range map[string]struct{ names, bound string }{
		"another host": {"https://app.example.org", "@app.example.org #"},
		"none":         {"", ""},
	} {
		w, err := newWriter(Brand{Name: "Acme"}, func(string) string { return c.names })
		if err != nil {
			t.Fatal(err)
		}
		for _, channel := range []mfa.Kind{mfa.Email, mfa.SMS} {
			for kind, l := range samples(channel, "en") {
				m, err := w.write(l, "id", noon)
				if err != nil {
					t.Errorf("%s, %s by %s: %v", name, kind, channel, err)
					continue
				}
				// The link of a letter is made where the page is.
				text := strings.ReplaceAll(m.Subject+m.Text+m.HTML, string(l.Link), "")
				if strings.Contains(text, "app.example.com") || strings.Contains(text, "@ #") || strings.HasSuffix(m.Text, "\n\n\n") {
					t.Errorf("%s, %s by %s:\n%s", name, kind, channel, m.Text)
				}
				if lines := strings.Split(strings.TrimSpace(m.Text), "\n"); m.Code != nil && c.bound != "" && lines[len(lines)-1] != c.bound+string(m.Code) {
					t.Errorf("%s, %s by %s ends with %q", name, kind, channel, lines[len(lines)-1])
				}
			}
		}
	}
}

// Whatever the gate serves pages at gets its letters: an underscore occurs in private
// networks, and an address of IPv6 is just not named.
func TestWrite_UnusualHosts(t *testing.T) {
	w := newTestWriter(t, Brand{Name: "Acme"})
	for origin, want := range map[string]string{
		"https://my_app.lan:8443": "@my_app.lan #123456", "https://[fd00::1]:8443": "123456", "http://127.0.0.1:8080": "@127.0.0.1 #123456",
	} {
		l := samples(mfa.SMS, "en")["verify"]
		l.Origin = origin
		m, err := w.write(l, "id", noon)
		if err != nil || !strings.Contains(m.Text, want) || strings.Contains(m.Text, "fd00") || strings.Contains(m.Text, "@ ") {
			t.Errorf("%s: %+v, %v", origin, m, err)
		}
	}
}

// The alphabet of text messages. One character beyond it, and a message holds 70
// characters instead of 160.
const gsm7 = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"

func TestWrite_TextMessagesAreShort(t *testing.T) {
	w := newTestWriter(t, Brand{Name: "Acme"})
	for _, language := range tags {
		for name, l := range samples(mfa.SMS, language) {
			m, err := w.write(l, "id", noon)
			if err != nil {
				t.Fatal(err)
			}
			if i := strings.IndexFunc(m.Text, func(r rune) bool { return !strings.ContainsRune(gsm7, r) }); i >= 0 {
				t.Errorf("%s %s: not in the alphabet of text messages: %q", language, name, m.Text[i:])
			}
			most := 160
			if language != "en" || l.Kind == mfa.LetterPasswordReset || l.Kind == mfa.LetterInvitation || l.Kind == mfa.LetterCampaign {
				most = 306 // two of them
			}
			if n := len([]rune(m.Text)); n > most {
				t.Errorf("%s %s: %d characters: %s", language, name, n, m.Text)
			}
			if m.Subject != "" || m.HTML != "" {
				t.Errorf("%s %s: a text message with a subject or HTML", language, name)
			}
		}
	}
}
