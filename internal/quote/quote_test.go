package quote_test

import (
	"strings"
	"testing"

	"github.com/secondgate/secondgate/internal/quote"
)

func TestWords(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"plain words stay", "5.7.8 Authentication credentials refused", "5.7.8 Authentication credentials refused"},
		{"an address", "5.1.1 <alice@example.com>: user unknown", "5.1.1 … user unknown"},
		{"an address in other letters", "no mailbox ALICE@EXAMPLE.COM here", "no mailbox … here"},
		{"a number", "The 'To' number +15005550001 cannot be reached.", "The 'To' number … cannot be reached."},
		{"a number with spaces", "call to +49 (30) 123-456 refused", "call to … refused"},
		{"a code", "found 12345678 in the text", "found … in the text"},
		{"a code of six digits, in signs", "found #123456.", "found #…."},
		{"codes of replies are no secrets", "4.7.26 try later", "4.7.26 try later"},
		{"a link", "refused: https://app.example.com/.mfa/reset#abc", "refused: …"},
		{"a command that is repeated", "500 what is AUTH PLAIN AGFsaWNlAHN3b3JkZmlzaC1zd29yZGZpc2g=", "500 what is AUTH PLAIN …"},
		{"a secret inside a word", "user=Swordfish;", "…"},
		{"a secret with a space", "was: sword fish sword", "was: … sword"},
		{"lines become one", "first\r\nX-Evil: second\x00\x1b[31m", "first X-Evil: second [31m"},
		{"bytes that are no text", "a \xff\xfe b", "a b"},
		{"nothing", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := quote.Words(tt.text, "swordfish", "sword fish", ""); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
	if got := quote.Words(strings.Repeat("word ", 1000)); len([]rune(got)) != 161 || !strings.HasSuffix(got, "…") {
		t.Errorf("a long remark became %q", got)
	}
}

// Whatever the text, nothing that was named a secret is in the remark.
func FuzzWords(f *testing.F) {
	f.Add("550 no such user alice", "alice")
	f.Add("a\u0130b", "a\u0130b")
	f.Fuzz(func(t *testing.T, text, secret string) {
		if len(secret) < 4 || strings.Contains("…", secret) {
			t.Skip("nothing that could be a secret")
		}
		if got := quote.Words(text, secret); strings.Contains(got, secret) {
			t.Errorf("%q holds %q", got, secret)
		}
		if got := quote.Words(text); strings.ContainsAny(got, "\r\n\x00\x1b") {
			t.Errorf("%q has control characters", got)
		}
	})
}
