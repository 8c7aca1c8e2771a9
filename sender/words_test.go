package sender

import (
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

var placeholder = regexp.MustCompile(`\{[a-z]+\}`)

// What one language says, every language says, with the same values in it.
func TestWords_AreWholeInEveryLanguage(t *testing.T) {
	c, err := loadWords()
	if err != nil {
		t.Fatal(err)
	}
	files, err := fs.Glob(wordFiles, "words/*.json")
	if err != nil || len(files) != len(tags) {
		t.Errorf("there are the files %v for the languages %v, error %v", files, tags, err)
	}
	first := c.list[0]
	for _, l := range c.list {
		for key, text := range first.texts {
			other, ok := l.texts[key]
			if !ok || strings.TrimSpace(other) == "" {
				t.Errorf("%s: %q is missing", l.tag, key)
				continue
			}
			a, b := placeholder.FindAllString(text, -1), placeholder.FindAllString(other, -1)
			slices.Sort(a)
			slices.Sort(b)
			if !slices.Equal(a, b) {
				t.Errorf("%s: %q has %v, %s has %v", l.tag, key, b, first.tag, a)
			}
		}
		for key := range l.texts {
			if _, ok := first.texts[key]; !ok {
				t.Errorf("%s: %q is in no other language", l.tag, key)
			}
		}
	}
}

// A text that no letter says is a text that nobody keeps true.
func TestWords_EachIsUsed(t *testing.T) {
	c, err := loadWords()
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	names, err := fs.Glob(os.DirFS("."), "*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		source.Write(raw)
	}
	for key := range c.list[0].texts {
		used := strings.Contains(source.String(), `"`+key+`"`)
		for _, end := range []string{".title", ".text", ".not_you", ".sms", ".sms.not_you", ".link", ".one", ".other"} {
			begin, ok := strings.CutSuffix(key, end)
			used = used || ok && (slices.Contains(letterNames(), begin) || strings.Contains(source.String(), `"`+begin+`"`))
		}
		begin, isKind := strings.CutPrefix(key, "kind.")
		used = used || isKind && begin != ""
		if !used {
			t.Errorf("nothing says %q", key)
		}
	}
}

// The core makes a notice or a letter of a new kind long before somebody reads one: its
// words are asked for here.
func TestWords_ThereAreSomeForEveryKind(t *testing.T) {
	c, err := loadWords()
	if err != nil {
		t.Fatal(err)
	}
	for file, declared := range map[string]*regexp.Regexp{
		"../mfa/letter.go": regexp.MustCompile(`Letter\w+ +LetterKind = "(\w+)"`),
		"../mfa/notice.go": regexp.MustCompile(`Notice\w+ +NoticeKind = "(\w+)"`),
	} {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found := declared.FindAllSubmatch(raw, -1)
		if len(found) < 8 {
			t.Errorf("%s declares %d kinds", file, len(found))
		}
		for _, m := range found {
			key := string(m[1])
			if strings.HasSuffix(file, "notice.go") {
				key = "notice." + key
			}
			for _, end := range []string{".title", ".text", ".sms"} {
				if _, ok := c.list[0].texts[key+end]; !ok && key != string(mfa.LetterNotice) {
					t.Errorf("there are no words for %q", key+end)
				}
			}
		}
	}
}

// letterNames begin the keys of the texts of each letter.
func letterNames() []string {
	names := []string{"notice.other"}
	for _, kind := range letterKinds {
		names = append(names, string(kind))
	}
	for kind := range notices() {
		names = append(names, "notice."+string(kind))
	}
	return names
}

// look.md's table of words: what we do not say.
func TestWords_SayWhatPeopleSay(t *testing.T) {
	c, err := loadWords()
	if err != nil {
		t.Fatal(err)
	}
	unsaid := regexp.MustCompile(`(?i)\b(MFA|2FA|OTP|TOTP|WebAuthn|FIDO|invalid|failed|illegal|enroll|authenticate|trust this|unbind|log ?in|login|click|ungültig|fehlgeschlagen|klicken)\b`)
	for _, l := range c.list {
		for key, text := range l.texts {
			if m := unsaid.FindString(text); m != "" {
				t.Errorf("%s %q says %q", l.tag, key, m)
			}
		}
	}
}

func TestCatalogue_ChoosesTheBestLanguage(t *testing.T) {
	c, err := loadWords()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, asked, want string }{
		{"nothing said", "", "en"},
		{"one tag", "de", "de"},
		{"German of Austria", "de-AT", "de"},
		{"a browser's whole list", "fr;q=0.9,de;q=0.5", "de"},
		{"only unknown languages", "ja", "en"},
		{"nonsense", "\"><svg/onload=1>", "en"},
		{"a line break", "de\r\nX-Evil: 1", "en"},
		{"a list too long to read", strings.Repeat("de,", 200), "en"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := c.choose(tt.asked).tag; got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestLanguage_ValuesAreNeverReadAsText(t *testing.T) {
	l := &language{texts: map[string]string{"k": "<{a}> {b}"}}
	for range 20 { // the order of values is not fixed
		if got := l.text("k", values{"a": "{b}", "b": "{{.}} %s {a}"}); got != "<{b}> {{.}} %s {a}" {
			t.Fatalf("got %q", got)
		}
	}
}

// People are not promised more time than they have.
func TestLanguage_Span(t *testing.T) {
	c, err := loadWords()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		d        time.Duration
		want, de string
	}{
		{time.Second, "1 second", "1 Sekunde"},
		{30 * time.Second, "30 seconds", "30 Sekunden"},
		{time.Minute, "1 minute", "1 Minute"},
		{90 * time.Second, "90 seconds", "90 Sekunden"},
		{5 * time.Minute, "5 minutes", "5 Minuten"},
		{5*time.Minute + 59*time.Second, "5 minutes", "5 Minuten"},
		{time.Hour, "1 hour", "1 Stunde"},
		{90 * time.Minute, "90 minutes", "90 Minuten"},
		{24 * time.Hour, "1 day", "1 Tag"},
		{36 * time.Hour, "36 hours", "36 Stunden"},
		{72 * time.Hour, "3 days", "3 Tage"},
	}
	for _, tt := range tests {
		if got := c.list[0].span(tt.d); got != tt.want {
			t.Errorf("%s is %q, want %q", tt.d, got, tt.want)
		}
		if got := c.list[1].span(tt.d); got != tt.de {
			t.Errorf("%s ist %q, want %q", tt.d, got, tt.de)
		}
	}
}

func TestMask(t *testing.T) {
	tests := []struct{ channel, address, want string }{
		{"email", "alice@example.com", "al****@example.com"},
		{"email", "al@example.com", "a****@example.com"},
		{"email", "a@example.com", "****@example.com"},
		{"email", "ünal@example.com", "ün****@example.com"},
		{"email", "alice", "****"},
		{"email", "alice@a\r\nb", "al****@a b"},
		{"sms", "+4930123456", "**** 56"},
		{"sms", "112", "****"},
		{"sms", "", "****"},
	}
	for _, tt := range tests {
		if got := mask(mfa.Kind(tt.channel), tt.address); got != tt.want {
			t.Errorf("%s becomes %q, want %q", tt.address, got, tt.want)
		}
	}
}
