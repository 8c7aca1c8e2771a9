package pages

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	_ "embed"
)

// "make pages" draws every page in every state into this folder:
//
//	go test ./pages -run TestPages -pages build/pages
var (
	pagesOut  = flag.String("pages", "", "folder to draw every page in every state into")
	pagesOnly = flag.String("pages-only", "", "draw only the states whose name begins so")
	pagesLang = flag.String("pages-lang", "en", "language of the pages that are drawn")
)

// axe is axe-core 4.14.1, the accessibility checker (testdata/axe/LICENSE).
//
//go:embed testdata/axe/axe.min.js
var axe string

type violation struct {
	ID    string `json:"id"`
	Help  string `json:"help"`
	Nodes []struct {
		HTML    string `json:"html"`
		Summary string `json:"failureSummary"`
	} `json:"nodes"`
}

// FindChromium returns the path of a Chromium. Without one the test is skipped,
// or fails where CI=true.
func FindChromium(t *testing.T) string {
	t.Helper()
	path := os.Getenv("CHROME_BIN")
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path == "" {
			path, _ = exec.LookPath(name)
		}
	}
	switch {
	case path != "":
	case os.Getenv("CI") == "true":
		t.Fatal("no Chromium found")
	default:
		t.Skip("NOT RUN: no Chromium found; set CHROME_BIN, or install it with \"make deps\"")
	}
	return path
}

// browser returns a Chromium, or skips where there is none.
func browser(t *testing.T) context.Context {
	t.Helper()
	path := FindChromium(t)
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path),
		chromedp.Flag("disable-gpu", true), chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("hide-scrollbars", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1"))
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), opts...)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 10*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// show serves every scene under its name, with the headers that people get, and
// the assets that the scenes load.
func show(t *testing.T, theme, lang string) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/.mfa/assets/", newWorld(t, acme).pages)
	for _, s := range scenes {
		mux.HandleFunc("/"+s.name, func(rw http.ResponseWriter, _ *http.Request) {
			w := newWorld(t, acme)
			words := *w.pages.words // every world's
			words.list = slices.Clone(words.list)
			for i, l := range words.list {
				if l.Tag == lang {
					// Nothing is said about languages by these requests: the first serves.
					words.list[0], words.list[i] = l, words.list[0]
				}
			}
			w.pages.words = &words
			a := s.show(t, w)
			for name, values := range a.Header {
				if name != "Strict-Transport-Security" && name != "Set-Cookie" {
					rw.Header()[name] = values
				}
			}
			rw.WriteHeader(http.StatusOK)
			body := refresh.ReplaceAllString(a.body, "") // the browser would be gone before it is looked at
			if theme != "" {
				body = strings.Replace(body, `dir="ltr"`, `dir="ltr" data-theme="`+theme+`"`, 1)
			}
			fmt.Fprint(rw, body)
		})
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

var refresh = regexp.MustCompile(`<meta http-equiv="refresh"[^>]*>`)

func open(t *testing.T, ctx context.Context, url string, width int64) {
	t.Helper()
	_, err := chromedp.Call(ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: width, Height: 800, DeviceScaleFactor: 1, Mobile: width < 600,
	})
	if err == nil {
		// Otherwise a page that nobody looks at shows no focus.
		_, err = chromedp.Call(ctx, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
	}
	if err == nil {
		err = chromedp.Do(ctx, chromedp.Navigate(url))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestPages(t *testing.T) {
	if *pagesOut == "" {
		t.Skip("draws pictures only where -pages names a folder; \"make pages\" does")
	}
	if err := os.MkdirAll(*pagesOut, 0o755); err != nil {
		t.Fatal(err)
	}
	ctx := browser(t)
	var index strings.Builder
	for _, theme := range []string{"light", "dark"} {
		server := show(t, theme, *pagesLang)
		for _, s := range scenes {
			if !strings.HasPrefix(s.name, *pagesOnly) {
				continue
			}
			for _, width := range []int64{360, 1280} {
				open(t, ctx, server.URL+"/"+s.name, width)
				html, err := chromedp.Run(ctx, chromedp.Evaluate[string]("document.documentElement.outerHTML"))
				if err != nil {
					t.Fatal(err)
				}
				png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
				if err != nil {
					t.Fatal(err)
				}
				base := fmt.Sprintf("%s.%s.%d", s.name, theme, width)
				for name, data := range map[string][]byte{base + ".html": []byte("<!doctype html>" + html), base + ".png": png} {
					if err := os.WriteFile(filepath.Join(*pagesOut, name), data, 0o644); err != nil {
						t.Fatal(err)
					}
				}
				fmt.Fprintf(&index, "<figure><figcaption>%s</figcaption><img src=%q alt=\"\" loading=lazy width=%d></figure>\n", base, base+".png", width/2)
			}
		}
	}
	page := "<!doctype html><meta charset=utf-8><title>Pages</title><style>body{display:flex;flex-wrap:wrap;gap:1rem;background:#888;font:14px sans-serif}figure{margin:0}img{display:block}</style>\n" + index.String()
	if err := os.WriteFile(filepath.Join(*pagesOut, "index.html"), []byte(page), 0o644); err != nil {
		t.Fatal(err)
	}
}

// check runs axe-core on the page that is open.
func check(t *testing.T, ctx context.Context) []violation {
	t.Helper()
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[bool](axe+";true")); err != nil {
		t.Fatal(err)
	}
	found, err := chromedp.Run(ctx, chromedp.Evaluate[[]violation](
		`axe.run(document, {runOnly: ["wcag2a","wcag2aa","wcag21a","wcag21aa","wcag22aa","best-practice"]}).then(r => r.violations)`,
		chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Nobody is shut out by how a page is made: axe-core finds nothing on any page
// in any state, light and dark, and no page scrolls sideways at 360 pixels, in
// either direction of writing, with text at twice its size.
func TestPages_AreAccessible(t *testing.T) {
	if testing.Short() {
		t.Skip("drives a browser over every page; left out with -short")
	}
	ctx := browser(t)
	open(t, ctx, "data:text/html,<title>A</title><p style='color:%23ccc;background:%23fff'>B<img src=x>", 360)
	if len(check(t, ctx)) < 2 {
		t.Fatal("the checker finds nothing where there is something")
	}
	for _, theme := range []string{"light", "dark"} {
		server := show(t, theme, "en")
		for _, s := range scenes {
			if !strings.HasPrefix(s.name, *pagesOnly) {
				continue
			}
			t.Run(theme+"/"+s.name, func(t *testing.T) {
				open(t, ctx, server.URL+"/"+s.name, 360)
				found := check(t, ctx)
				for _, v := range found {
					for _, n := range v.Nodes {
						t.Errorf("%s: %s\n%s\n%s", v.ID, v.Help, n.HTML, n.Summary)
					}
				}
				for _, change := range []string{``, `document.documentElement.dir = "rtl";`, `document.documentElement.dir = "ltr"; document.documentElement.style.fontSize = "200%";`} {
					over, err := chromedp.Run(ctx, chromedp.Evaluate[float64](change+`document.documentElement.scrollWidth - innerWidth`))
					if err != nil {
						t.Fatal(err)
					}
					if over > 0 {
						t.Errorf("%g pixels too wide after %q", over, change)
					}
				}
			})
		}
	}
}
