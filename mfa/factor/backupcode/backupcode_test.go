package backupcode

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/mfa"
)

func newFactor(t testing.TB) *Factor {
	t.Helper()
	h, err := seal.NewHasher(seal.HasherConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return New(h)
}

func newSet(t testing.TB, f *Factor) (mfa.Secret, []string) {
	t.Helper()
	data, codes, err := f.New(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return data, codes
}

func TestFactor_New(t *testing.T) {
	f := newFactor(t)
	data, codes := newSet(t, f)
	form := regexp.MustCompile(`^([0-9A-HJKMNP-TV-Z]{4}-){3}[0-9A-HJKMNP-TV-Z]{4}$`)
	seen := map[string]bool{}
	for i, code := range codes {
		if !form.MatchString(code) || seen[code] {
			t.Errorf("code %d has another form, or is there twice", i)
		}
		seen[code] = true
		if strings.Contains(string([]byte(data)), strings.ReplaceAll(code, "-", "")) {
			t.Errorf("code %d stands in the data as it is", i)
		}
	}
	if len(codes) != 10 {
		t.Errorf("%d codes, want 10", len(codes))
	}
	for i, code := range codes {
		if got, err := f.Match(context.Background(), data, code); err != nil || got != i {
			t.Errorf("code %d: Match = %d, %v", i, got, err)
		}
	}
	other, _ := newSet(t, f)
	if string(saltOf(other)) == string(saltOf(data)) {
		t.Error("two sets share a salt")
	}
	if _, err := f.Match(context.Background(), other, codes[0]); !errors.Is(err, mfa.ErrRejected) {
		t.Errorf("a code of another set: %v, want a rejection", err)
	}
}

func TestParse_Spellings(t *testing.T) {
	const want = "0123ABCDEFGH1100"
	for _, tc := range []struct {
		name, text string
		ok         bool
	}{
		{"as shown", "0123-ABCD-EFGH-1100", true},
		{"without dashes", "0123ABCDEFGH1100", true},
		{"spaces", " 0123 ABCD EFGH 1100 ", true},
		{"lower case", "0123-abcd-efgh-1100", true},
		{"look-alikes", "o123-abcd-efgh-ilOo", true},
		{"U is in no code", "0123-ABCD-EFGH-110U", false},
		{"one short", "0123-ABCD-EFGH-110", false},
		{"one more", "0123-ABCD-EFGH-1100-0", false},
		{"tab", "0123-ABCD-EFGH-1100\t", false},
		{"no-break space", "0123\u00a0ABCDEFGH1100", false},
		{"dash that is none", "0123–ABCD–EFGH–1100", false},
		{"full-width", "０１２３ABCDEFGH1100", false},
		{"NUL", "0123ABCDEFGH110\x00", false},
		{"empty", "", false},
		{"very long", strings.Repeat("-", 1<<16) + want, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			code, ok := parse(tc.text)
			if ok != tc.ok || ok && string(code) != want || len(code) != codeSize {
				t.Errorf("parse = %q, %v; want ok=%v", code, ok, tc.ok)
			}
		})
	}
}

// B23: a used code is refused like a wrong one, the last one works like any
// other, and Spend changes nothing but its own copy.
func TestFactor_Spend_B23(t *testing.T) {
	f := newFactor(t)
	data, codes := newSet(t, f)
	before := string([]byte(data))
	for i := range codes {
		next, left, err := f.Spend(data, i)
		if err != nil || left != 9-i {
			t.Fatalf("code %d: Spend = %d left, %v", i, left, err)
		}
		if _, _, err := f.Spend(next, i); !errors.Is(err, mfa.ErrRejected) {
			t.Errorf("code %d spent twice: %v", i, err)
		}
		if i == 0 {
			if string([]byte(data)) != before {
				t.Error("Spend changed what it was given")
			}
			_, used := f.Match(context.Background(), next, codes[0])
			_, wrong := f.Match(context.Background(), next, "0000-0000-0000-0000")
			if !errors.Is(used, mfa.ErrRejected) || used.Error() != wrong.Error() {
				t.Errorf("a used code says %v, a wrong one %v", used, wrong)
			}
		}
		if i == 9 {
			if _, err := f.Match(context.Background(), data, codes[9]); err != nil {
				t.Errorf("the last code: %v", err)
			}
		}
		data = next
	}
}

func TestFactor_RejectsForeignData(t *testing.T) {
	f := newFactor(t)
	data, codes := newSet(t, f)
	foreign := append(mfa.Secret{}, data...)
	foreign[0] = 2
	for name, d := range map[string]mfa.Secret{"nil": nil, "short": data[:dataSize-1], "another version": foreign} {
		if _, err := f.Match(context.Background(), d, codes[0]); !errors.Is(err, mfa.ErrRejected) {
			t.Errorf("Match, %s: %v", name, err)
		}
		if _, _, err := f.Spend(d, 0); !errors.Is(err, mfa.ErrRejected) {
			t.Errorf("Spend, %s: %v", name, err)
		}
	}
	for _, i := range []int{-1, 10, 1 << 40} {
		if _, _, err := f.Spend(data, i); !errors.Is(err, mfa.ErrRejected) {
			t.Errorf("Spend(%d): %v", i, err)
		}
	}
}

// A full queue is not a wrong code: the person is told to wait, and nothing is
// counted against them.
func TestFactor_Match_BusyIsNoRejection(t *testing.T) {
	h, err := seal.NewHasher(seal.HasherConfig{Concurrent: 1, Queue: 1})
	if err != nil {
		t.Fatal(err)
	}
	f := New(h)
	data := make(mfa.Secret, dataSize)
	data[0] = version
	results := make(chan error)
	const n = 8
	for range n {
		go func() {
			_, err := f.Match(context.Background(), data, "0000-0000-0000-0000")
			results <- err
		}()
	}
	busy := 0
	for range n {
		err := <-results
		switch {
		case errors.Is(err, mfa.ErrBusy) && !errors.Is(err, mfa.ErrRejected):
			busy++
		case !errors.Is(err, mfa.ErrRejected):
			t.Errorf("Match = %v", err)
		}
	}
	if busy == 0 {
		t.Error("eight at once, one served and one waiting: nobody was turned away")
	}
}

func FuzzParse(f *testing.F) {
	f.Add("0123-ABCD-EFGH-1100")
	f.Add("o123 abcd efgh ilOo")
	f.Add("\x00")
	f.Fuzz(func(t *testing.T, text string) {
		code, ok := parse(text)
		if len(code) != codeSize {
			t.Errorf("%d bytes", len(code))
		}
		if ok {
			for _, c := range code {
				if !strings.ContainsRune(alphabet, rune(c)) {
					t.Errorf("parse(%q) = %q", text, code)
				}
			}
		}
	})
}
