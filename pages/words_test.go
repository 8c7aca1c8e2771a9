package pages

import (
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var placeholder = regexp.MustCompile(`\{[a-z]+\}`)

// What one language says, every language says, with the same values in it.
func TestWords_AreWholeInEveryLanguage(t *testing.T) {
	c, err := loadWords()
	if err != nil {
		t.Fatal(err)
	}
	first := c.list[0]
	for _, l := range c.list {
		for key, text := range first.texts {
			other, ok := l.texts[key]
			if !ok || strings.TrimSpace(other) == "" {
				t.Errorf("%s: %q is missing", l.Tag, key)
				continue
			}
			a, b := placeholder.FindAllString(text, -1), placeholder.FindAllString(other, -1)
			slices.Sort(a)
			slices.Sort(b)
			if !slices.Equal(a, b) {
				t.Errorf("%s: %q has %v, %s has %v", l.Tag, key, b, first.Tag, a)
			}
		}
		for key := range l.texts {
			if _, ok := first.texts[key]; !ok {
				t.Errorf("%s: %q is in no other language", l.Tag, key)
			}
		}
	}
}

// sources returns every template and every Go file that is no test.
func sources(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, pattern := range []string{"*.go", "templates/*.html"} {
		names, err := fs.Glob(os.DirFS("."), pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			files[name] = string(b)
		}
	}
	return files
}

var formToken = regexp.MustCompile(`(?:value|data-csrf)="[A-Za-z0-9_-]{80,}"`)

var wordUse = regexp.MustCompile(`(?:\.T|\.Rich|\.text|\.rich|\.count|\$\.T) ?\(?"([a-z0-9_.]+)"`)

func TestWords_EachIsUsedAndEachUseExists(t *testing.T) {
	c, err := loadWords()
	if err != nil {
		t.Fatal(err)
	}
	texts := c.list[0].texts
	files := sources(t)
	for key := range texts {
		base := strings.TrimSuffix(strings.TrimSuffix(key, ".one"), ".other")
		used := false
		for _, source := range files {
			used = used || strings.Contains(source, `"`+key+`"`) || strings.Contains(source, `"`+base+`"`) || strings.HasPrefix(key, "language.") || strings.HasPrefix(key, becauseWords)
		}
		if !used {
			t.Errorf("nothing uses %q", key)
		}
	}
	for name, source := range files {
		for _, m := range wordUse.FindAllStringSubmatch(source, -1) {
			key := m[1]
			if _, ok := texts[key]; ok {
				continue
			}
			if _, ok := texts[key+".one"]; !ok {
				t.Errorf("%s uses %q, which no language has", name, key)
			}
		}
	}
}

var (
	templateAction = regexp.MustCompile(`\{\{[^}]*\}\}`)
	htmlTag        = regexp.MustCompile(`<[^>]*>`)
	spoken         = regexp.MustCompile(`(?:alt|title|placeholder|aria-label)="[^"{]*[a-zA-Z][^"]*"`)
	attribute      = regexp.MustCompile(`[a-z-]+="[^"]*"`)
	letters        = regexp.MustCompile(`\pL+`)
)

// Text that stands in a template cannot be said in another language.
func TestTemplates_HoldNoText(t *testing.T) {
	for name, source := range sources(t) {
		if !strings.HasSuffix(name, ".html") {
			continue
		}
		if m := spoken.FindString(source); m != "" {
			t.Errorf("%s: %s", name, m)
		}
		rest := htmlTag.ReplaceAllString(templateAction.ReplaceAllString(source, ""), "")
		rest = attribute.ReplaceAllString(rest, "") // of a part that stands within a tag
		if m := letters.FindString(rest); m != "" {
			t.Errorf("%s: the word %q", name, m)
		}
	}
}

// look.md's table of words: what we do not say.
func TestWords_SayWhatPeopleSay(t *testing.T) {
	c, err := loadWords()
	if err != nil {
		t.Fatal(err)
	}
	unsaid := regexp.MustCompile(`(?i)\b(MFA|2FA|OTP|TOTP|WebAuthn|FIDO|invalid|failed|illegal|enroll|authenticate|trust this|unbind|log ?in|login|ungültig|fehlgeschlagen)\b`)
	for _, l := range c.list {
		for key, text := range l.texts {
			if m := unsaid.FindString(text); m != "" {
				t.Errorf("%s %q says %q", l.Tag, key, m)
			}
		}
	}
}

func TestCatalogue_ChoosesTheBestLanguage(t *testing.T) {
	c, err := loadWords()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, chosen, accept, want string }{
		{"nothing said", "", "", "en"},
		{"German of Austria", "", "de-AT,de;q=0.9", "de"},
		{"an unknown language first", "", "fr;q=0.9,de;q=0.5", "de"},
		{"only unknown languages", "", "ja", "en"},
		{"the person's own choice", "de", "en", "de"},
		{"a choice that is none", `"><script>`, "de", "de"},
		{"nonsense (AC-133)", "", `"><svg/onload=1>`, "en"},
		{"a list too long to read", "", strings.Repeat("de,", 200), "en"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := c.choose(tt.chosen, tt.accept).Tag; got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestLanguage_ValuesAreNeverReadAsText(t *testing.T) {
	l := &language{texts: map[string]string{"k": "<{a}> {b}"}}
	if got := l.text("k", "a", "{b}", "b", "{{.}} %s {env.SECRET}"); got != "<{b}> {{.}} %s {env.SECRET}" {
		t.Errorf("AC-135: %q", got)
	}
	if got := l.rich("k", "a", `<svg/onload=1>`, "b", "{a}"); strings.Contains(string(got), "<svg") || strings.Contains(string(got), "<<") {
		t.Errorf("AC-133: %q", got)
	}
}

// A passkey is called by the browser that made it until somebody gives it a name: its
// second one is told apart by a number, in each language, and chosen names stay.
func TestAgent(t *testing.T) {
	t.Parallel()
	c, err := loadWords()
	if err != nil {
		t.Fatal(err)
	}
	v := &visit{words: c.choose("de", "")}
	for name, want := range map[string]string{
		"Chrome on Linux": "Chrome auf Linux", "Chrome on Linux 2": "Chrome auf Linux 2", "Unknown browser 3": v.T("account.session.unknown") + " 3",
		"": v.T("account.session.unknown"), "Key 2": "Key 2", "Chrome on Linux 1": "Chrome on Linux 1", "Chrome on Mars": "Chrome on Mars", "On 4": "On 4",
	} {
		if got := v.agent(name); got != want {
			t.Errorf("%q is called %q, want %q", name, got, want)
		}
	}
}

// A key that stands in a file twice would be read as the second, and another page would say
// what is meant for this one.
func TestWords_StandOnce(t *testing.T) {
	key := regexp.MustCompile(`(?m)^\s*("[^"]+"):`)
	for _, tag := range tags {
		for _, set := range wordSets {
			raw, err := wordFiles.ReadFile("words/" + set + tag + ".json")
			if err != nil {
				t.Fatal(err)
			}
			seen := map[string]bool{}
			for _, m := range key.FindAllSubmatch(raw, -1) {
				if seen[string(m[1])] {
					t.Errorf("%s%s: %s stands there twice", set, tag, m[1])
				}
				seen[string(m[1])] = true
			}
			if len(seen) < 10 {
				t.Errorf("%s%s: found only %d keys", set, tag, len(seen))
			}
		}
	}
}
