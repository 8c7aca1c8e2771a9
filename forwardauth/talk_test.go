package forwardauth

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Each file in testdata tells what a kind of proxy sends and what it needs to hear:
// "## title", then the request in lines that begin with ">", then the answer in lines that
// begin with "<": the status, "Name: value" ("*": any; nothing: empty), "-Name" (absent),
// "~text" (in the body), "=" (no body). {alice} stands for the cookie of her session.
func TestServe_conversations(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 3 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(string(raw), "\n## ")
		for _, part := range parts[1:] {
			title, lines, _ := strings.Cut(part, "\n")
			t.Run(strings.TrimSuffix(filepath.Base(file), ".txt")+"/"+title, func(t *testing.T) {
				w := newWorld(t)
				var request strings.Builder
				var want []string
				for line := range strings.Lines(lines) {
					line = strings.TrimSuffix(line, "\n")
					switch {
					case strings.HasPrefix(line, "> "):
						for _, name := range []string{"alice", "carol", "dora"} {
							if strings.Contains(line, "{"+name+"}") {
								line = strings.ReplaceAll(line, "{"+name+"}", w.cookie(name))
							}
						}
						request.WriteString(line[2:] + "\r\n")
					case strings.HasPrefix(line, "< "):
						want = append(want, line[2:])
					case line != "":
						t.Fatalf("not understood: %q", line)
					}
				}
				q, err := http.ReadRequest(bufio.NewReader(strings.NewReader(request.String() + "\r\n")))
				if err != nil || len(want) == 0 {
					t.Fatalf("%v; %d lines of an answer", err, len(want))
				}
				q.RemoteAddr = "10.0.0.5:40000"
				d, ok := Serves(q)
				if !ok {
					t.Fatalf("%s is no question", q.RequestURI)
				}
				// A server of net/http takes the body of an answer to HEAD away.
				front := httptest.NewRecorder()
				w.Serve(front, q, d)
				text := front.Body.String()
				if q.Method == http.MethodHead {
					text = ""
				}
				if got := strconv.Itoa(front.Code); got != want[0] {
					t.Errorf("status %s, want %s", got, want[0])
				}
				for _, line := range want[1:] {
					switch {
					case line == "=":
						if text != "" {
							t.Errorf("a body: %s", text)
						}
					case line[0] == '~':
						if !strings.Contains(text, line[1:]) {
							t.Errorf("%q is not in the body: %s", line[1:], text)
						}
					case line[0] == '-':
						if got, ok := front.Header()[http.CanonicalHeaderKey(line[1:])]; ok {
							t.Errorf("%s is %q", line[1:], got)
						}
					default:
						name, value, _ := strings.Cut(line, ":")
						value = strings.TrimSpace(value)
						got, ok := front.Header()[http.CanonicalHeaderKey(name)]
						if !ok || len(got) != 1 || got[0] != value && value != "*" {
							t.Errorf("%s is %q, want %q", name, got, value)
						}
					}
				}
			})
		}
	}
}
