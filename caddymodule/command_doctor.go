package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/secondgate/secondgate/doctor"
	"github.com/secondgate/secondgate/guard"
)

func (f *flags) doctorCommand() *cobra.Command {
	var proxy string
	c := &cobra.Command{
		Use:   "doctor [<url>]",
		Short: "Says what the proxies in between do to requests, and what is wrong with it",
		Long: "Examines the running gateway: what its configuration says about where it stands,\n" +
			"and how other proxies ask it. With the address of a protected host it asks that\n" +
			"host as a browser would, from here, at an address below /.mfa/doctor/ that is good\n" +
			"once for a minute, and compares what it sent with what arrived: host, scheme,\n" +
			"path, client, cookies, clock. What is wrong comes with the lines that mend it.\n\n" +
			"Nothing is changed, and no cookie or other secret is shown.\n\n" +
			"Exit status 1 says that something is wrong; the other numbers are those of every\n" +
			"command.",
		Example: `  secondgate mfa doctor
  secondgate mfa doctor https://app.example.com
  secondgate mfa doctor https://app.example.com --proxy traefik`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fail(c, refused("%q is one word too many; write: %s", args[1], c.UseLine()))
			}
			return nil
		},
	}
	c.Flags().StringVar(&proxy, "proxy", "", "The proxy in front, where it cannot be told: nginx, traefik, caddy, haproxy, envoy or apache")
	_ = c.RegisterFlagCompletionFunc("proxy", cobra.FixedCompletions([]string{"nginx", "traefik", "caddy", "haproxy", "envoy", "apache"}, cobra.ShellCompDirectiveNoFileComp))
	c.RunE = func(cmd *cobra.Command, args []string) error {
		report, by, err := f.examine(cmd.Context(), proxy, args)
		if err != nil {
			return fail(cmd, err)
		}
		if f.json {
			if err := encode(cmd.OutOrStdout(), adminAnswer{Doctor: report}); err != nil {
				return err
			}
		} else {
			fmt.Fprintln(cmd.ErrOrStderr(), by)
			showDoctor(cmd.OutOrStdout(), report)
		}
		if report.Bad() {
			return fail(cmd, errors.New("something is wrong; the findings say what"))
		}
		return nil
	}
	return c
}

// examine asks the gateway about its configuration, and, where an address is named, that
// address from outside.
func (f *flags) examine(ctx context.Context, proxy string, args []string) (*doctor.Report, string, error) {
	var at *url.URL
	if len(args) == 1 {
		var err error
		if at, err = parseSite(args[0]); err != nil {
			return nil, "", err
		}
	}
	answer, by, err := f.perform(ctx, opDoctor, adminRequest{Proxy: proxy})
	if err != nil {
		return nil, "", err
	}
	report := answer.Doctor
	if report == nil {
		return nil, "", errors.New("reading the gateway's answer: there is no report in it")
	}
	if at == nil {
		return report, by, nil
	}
	out := outsider{ctx: ctx, at: at, proxy: doctor.Proxy(proxy), perform: func(op string, in adminRequest) (*adminAnswer, error) {
		answer, _, err := f.perform(ctx, op, in)
		return answer, err
	}}
	if err := out.examine(report); err != nil {
		return nil, "", err
	}
	return report, by, nil
}

// parseSite reads the address of a protected host. What is behind it may be a path below
// which the gateway is reached, which is a mistake that the doctor knows.
func parseSite(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil {
		return nil, refused("%q is not the address of a host; write for example: secondgate mfa doctor https://app.example.com", plain(text))
	}
	u.RawQuery, u.Fragment = "", ""
	return u, nil
}

// marks stand before findings.
var marks = map[doctor.Severity]string{doctor.Wrong: "WRONG", doctor.Warning: "warning", doctor.Note: "note"}

func showDoctor(w io.Writer, r *doctor.Report) {
	if r.URL != "" {
		fmt.Fprintf(w, "%s, asked from here\n\n", plain(r.URL))
	}
	if r.Facts != nil {
		showFacts(w, r.Facts)
	}
	if len(r.Findings) == 0 {
		fmt.Fprintln(w, "Nothing wrong was found.")
	}
	for i, f := range r.Findings {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s  %s\n", marks[f.Severity], plain(f.Text))
		if f.Snippet != "" {
			fmt.Fprintf(w, "\n    # %s\n", f.For)
			for line := range strings.Lines(f.Snippet) {
				line = strings.TrimRight(line, "\n")
				indent := len(line) - len(strings.TrimLeft(line, "\t"))
				fmt.Fprintln(w, strings.TrimRight("    "+strings.Repeat("\t", indent)+plain(line[indent:]), " "))
			}
		}
	}
}

// showFacts prints what arrived of a request, and what it was taken for.
func showFacts(w io.Writer, f *guard.Facts) {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	row := func(name, value string) { fmt.Fprintf(t, "%s\t%s\n", name, dash(plain(value))) }
	trust := "no trusted proxy"
	if f.Trusted {
		trust = "trusted proxy"
	}
	over := f.Protocol
	if f.TLS {
		over += ", TLS"
	}
	row("Connection from", f.Peer+", "+trust)
	row("Protocol", over)
	row("Client", f.Client)
	row("Host as sent", f.Sent)
	row("Host", f.Host)
	row("Scheme", f.Scheme)
	if f.Fault != "" {
		row("Refused", f.Fault)
	}
	row("Session holds for", f.Scope)
	row("Passkeys hold for", f.RPID)
	row("Cookie", strings.TrimSuffix(f.CookieName+", domain "+f.CookieDomain, ", domain "))
	for _, h := range f.Headers {
		if h.Value != "" {
			row(h.Name, h.Value)
		}
	}
	_ = t.Flush()
	fmt.Fprintln(w)
}
