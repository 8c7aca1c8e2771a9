package caddymodule_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/secondgate/secondgate/caddymodule"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// adapt turns a Caddyfile into JSON, as "secondgate adapt" does.
func adapt(name, text string) ([]byte, error) {
	out, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": name})
	return out, err
}

const ruler = "\n----------\n"

// Each file in testdata/adapt is a Caddyfile, a ruler, and what becomes of it:
// the JSON, or the refusal (B1, AC-201, AC-202). A refusal says where and what to
// write instead.
func TestAdapt_Golden(t *testing.T) {
	files, err := filepath.Glob("testdata/adapt/*.caddyfiletest")
	if err != nil || len(files) < 70 {
		t.Fatalf("found %d files, error %v", len(files), err)
	}
	place := regexp.MustCompile(`, at Caddyfile:[0-9]+$`)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddyfiletest"), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			text, want, ok := strings.Cut(string(raw), ruler)
			if !ok {
				t.Fatal("the file has no ruler")
			}
			var got string
			out, err := adapt("Caddyfile", text+"\n")
			switch refused := strings.HasPrefix(filepath.Base(file), "refused_"); {
			case err != nil && !refused:
				t.Fatalf("refused: %v", err)
			case err == nil && refused:
				t.Fatalf("not refused: %s", out)
			case refused:
				got = err.Error() + "\n"
				if !place.MatchString(err.Error()) {
					t.Errorf("the refusal does not say where: %v", err)
				}
			default:
				var b bytes.Buffer
				if err := json.Indent(&b, out, "", "\t"); err != nil {
					t.Fatal(err)
				}
				got = b.String() + "\n"
			}
			if *update {
				if err := os.WriteFile(file, []byte(text+ruler+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// AC-203: no text makes the parser panic, and every refusal of ours says where.
func TestAdapt_AC203_EveryTruncation(t *testing.T) {
	for _, name := range []string{"full", "routes", "optional", "senders", "oidc"} {
		raw, err := os.ReadFile("testdata/adapt/" + name + ".caddyfiletest")
		if err != nil {
			t.Fatal(err)
		}
		text, _, _ := strings.Cut(string(raw), ruler)
		for i := range len(text) {
			checkAdapt(t, text[:i])
			// The same with its braces closed, so that our parser sees the end.
			checkAdapt(t, text[:i]+strings.Repeat("\n}", depth(text[:i])))
		}
	}
}

func depth(text string) int { return max(0, strings.Count(text, "{")-strings.Count(text, "}")) }

var ofOurs = regexp.MustCompile(`^(parsing caddyfile tokens for 'mfa'|mfa|identity oidc|store|domain|origin|factors|require|prompt|enrollment|grace|sender|smtp|twilio|webhook|log|session|issuer|headers|user_header|brand|fresh|bypass):? `)

func checkAdapt(t *testing.T, text string) {
	t.Helper()
	_, err := adapt("Caddyfile", text)
	if err != nil && ofOurs.MatchString(err.Error()) && !strings.Contains(err.Error(), "Caddyfile:") {
		t.Errorf("the refusal of %q does not say where: %v", text, err)
	}
}

func FuzzAdapt(f *testing.F) {
	files, err := filepath.Glob("testdata/adapt/*.caddyfiletest")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		text, _, _ := strings.Cut(string(raw), ruler)
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "import") || strings.Contains(text, "{$") || strings.Contains(text, "<<") {
			t.Skip("reads files or the environment, or is another parser's matter")
		}
		checkAdapt(t, text)
	})
}
