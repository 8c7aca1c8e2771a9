package caddymodule

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

//go:embed demo
var demoFiles embed.FS

func demoCommand() *cobra.Command {
	var listen string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Runs a small app to put behind the gate: it shows what an app is told of its visitor",
		Example: `  secondgate mfa demo
  secondgate mfa demo --listen localhost:3000`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			handler, err := newDemo()
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			l, err := net.Listen("tcp", listen)
			if err != nil {
				return fail(cmd, fmt.Errorf("listening: %w", err))
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "The demo app listens on %s.\n", l.Addr())
			srv := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
			go func() {
				<-ctx.Done()
				last, cancel := context.WithTimeout(context.Background(), 2*time.Second)
				defer cancel()
				_ = srv.Shutdown(last)
			}()
			if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return fail(cmd, err)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "localhost:3000", "Where the app listens; keep it where only the gateway reaches it")
	return cmd
}

// newDemo returns the demo app: what an app behind the gate may rely on, and
// nothing more. It trusts the headers because nobody but the gateway reaches it.
func newDemo() (http.Handler, error) {
	page, err := template.ParseFS(demoFiles, "demo/page.html")
	if err != nil {
		return nil, fmt.Errorf("reading the page of the demo: %w", err)
	}
	style, err := demoFiles.ReadFile("demo/style.css")
	if err != nil {
		return nil, fmt.Errorf("reading the style of the demo: %w", err)
	}
	mux := http.NewServeMux()
	// It stands in the part that the example leaves open, or the page there would
	// have no style.
	mux.HandleFunc("GET /public/demo.css", func(w http.ResponseWriter, _ *http.Request) {
		demoHeaders(w.Header())
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		_, _ = w.Write(style)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		var b bytes.Buffer
		if err := page.Execute(&b, newDemoPage(r)); err != nil {
			http.Error(w, "The page cannot be shown.", http.StatusInternalServerError)
			return
		}
		demoHeaders(w.Header())
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(b.Bytes())
	})
	return mux, nil
}

func demoHeaders(h http.Header) {
	// The script is the gate's: it shows a banner where an account could be protected better.
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
}

// demoPage is what the page shows.
type demoPage struct {
	User, Name, Email, Initial string
	Groups                     []string
	Method, Path               string
	Headers                    []demoHeader
}

type demoHeader struct {
	Name, Value string
	Identity    bool
}

func newDemoPage(r *http.Request) demoPage {
	p := demoPage{
		User: r.Header.Get("Remote-User"), Name: r.Header.Get("Remote-Name"), Email: r.Header.Get("Remote-Email"),
		Method: r.Method, Path: r.URL.Path,
	}
	if p.Name == "" {
		p.Name = p.User
	}
	for _, first := range p.Name {
		p.Initial = strings.ToUpper(string(first))
		break
	}
	if groups := r.Header.Get("Remote-Groups"); groups != "" {
		p.Groups = strings.Split(groups, ",")
	}
	for name, values := range r.Header {
		p.Headers = append(p.Headers, demoHeader{
			Name: name, Value: strings.Join(values, ", "),
			Identity: strings.HasPrefix(name, "Remote-") || strings.HasPrefix(name, "Mfa-"),
		})
	}
	slices.SortFunc(p.Headers, func(a, b demoHeader) int {
		if a.Identity != b.Identity {
			if a.Identity {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	})
	return p
}
