package related

import (
	"strings"
	"testing"
)

func TestDocument(t *testing.T) {
	for name, tc := range map[string]struct {
		origins []string
		want    string
	}{
		"none":                   {nil, `{"origins":[]}`},
		"one":                    {[]string{"https://a.example.com"}, `{"origins":["https://a.example.com"]}`},
		"sorted":                 {[]string{"https://b.example.com", "https://a.example.net"}, `{"origins":["https://a.example.net","https://b.example.com"]}`},
		"each once":              {[]string{"https://a.test", "https://b.test", "https://a.test"}, `{"origins":["https://a.test","https://b.test"]}`},
		"capital letters":        {[]string{"HTTPS://Shop.Example.COM", "https://shop.example.com"}, `{"origins":["https://shop.example.com"]}`},
		"the default port":       {[]string{"https://a.test:443", "https://a.test"}, `{"origins":["https://a.test"]}`},
		"another port":           {[]string{"https://a.test:8443", "https://a.test:4430"}, `{"origins":["https://a.test:4430","https://a.test:8443"]}`},
		"a name in punycode":     {[]string{"https://xn--bcher-kva.example"}, `{"origins":["https://xn--bcher-kva.example"]}`},
		"a name of digits":       {[]string{"https://1.2.example.com"}, `{"origins":["https://1.2.example.com"]}`},
		"a name of this network": {[]string{"https://app.internal"}, `{"origins":["https://app.internal"]}`},
	} {
		got, err := Document(tc.origins)
		if err != nil || string(got) != tc.want {
			t.Errorf("%s: %s, %v, want %s", name, got, err, tc.want)
		}
	}
}

// Browsers compare origins and nothing else; what they would pass over is said
// when the configuration is read.
func TestDocument_RejectsWhatIsNoOrigin(t *testing.T) {
	for _, raw := range []string{
		"", "https://", "a.example.com", "//a.example.com", "https:a.example.com", "https:/a.example.com",
		"http://a.example.com", "wss://a.example.com", "android:apk-key-hash:AAAA", "null", "*", "https://*.example.com",
		"https://a.example.com/", "https://a.example.com/x", "https://a.example.com?", "https://a.example.com?x",
		"https://a.example.com#", "https://a.example.com#x", "https://u@a.example.com", "https://a.example.com\\x",
		" https://a.example.com", "https://a.example.com ", "https://a .example.com", "https://a.example.com\n", "https://a%2eexample.com",
		"https://a..example.com", "https://.example.com", "https://a.example.com.", "https://bücher.example", "https://a.example.com,https://b.example.com",
		"https://" + strings.Repeat("a", 64) + ".test", "https://" + strings.Repeat("a.", 130) + "test",
		"https://a.example.com:", "https://a.example.com:0", "https://a.example.com:0443", "https://a.example.com:65536", "https://a.example.com:x",
		"https://192.0.2.1", "https://192.0.2.1:8443", "https://127.1", "https://0x7f.0x1", "https://[2001:db8::1]", "https://[::1]:8443",
		"https://localhost", "https://com", "https://co.uk", "https://github.io",
	} {
		if got, err := Document([]string{"https://a.example.com", raw}); err == nil || got != nil {
			t.Errorf("%q: %s", raw, got)
		}
	}
}

// A browser counts the names in front of the public suffixes, and stops at five.
func TestDocument_HoldsAsManyNamesAsBrowsersHonour(t *testing.T) {
	five := []string{
		"https://example.com", "https://www.example.com", "https://example.co.uk", "https://shop.example.com.au:8443", "https://app.example",
		"https://b.test", "https://x.c.test", "https://d.github.io",
	}
	// The names are example, app, b, c and d.
	if _, err := Document(five[:7]); err != nil {
		t.Errorf("four names: %v", err)
	}
	if _, err := Document(five); err != nil {
		t.Errorf("five names: %v", err)
	}
	for _, one := range []string{"https://e.test", "https://e.github.io", "https://www.e.co.uk"} {
		_, err := Document(append([]string{one}, five...))
		if err == nil || !strings.Contains(err.Error(), "app, b, c, d, e, example") {
			t.Errorf("%s as the sixth: %v", one, err)
		}
	}
}

func FuzzDocument(f *testing.F) {
	f.Add("https://a.example.com:8443")
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := Document([]string{raw})
		if err != nil {
			return
		}
		// What is written is read as the same.
		inner := strings.TrimSuffix(strings.TrimPrefix(string(got), `{"origins":["`), `"]}`)
		if again, err := Document([]string{inner}); err != nil || string(again) != string(got) || !strings.EqualFold(strings.TrimSuffix(raw, ":443"), inner) {
			t.Errorf("%q became %s and then %s, %v", raw, got, again, err)
		}
	})
}
