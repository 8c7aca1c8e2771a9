package caddymodule

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// commands is the command "mfa" with all that stands below it, outside Caddy's.
func commands() *cobra.Command {
	root := &cobra.Command{Use: "mfa"}
	addCommands(root)
	return root
}

// eachCommand calls f with every command that does something.
func eachCommand(c *cobra.Command, f func(*cobra.Command)) {
	f(c)
	for _, sub := range c.Commands() {
		eachCommand(sub, f)
	}
}

// What each command says of itself is what people script by: a change of it is seen.
func TestCommands_HelpGolden(t *testing.T) {
	var b strings.Builder
	eachCommand(commands(), func(c *cobra.Command) {
		fmt.Fprintf(&b, "=== %s\n", c.CommandPath())
		c.SetOut(&b)
		if err := c.Help(); err != nil {
			t.Fatal(err)
		}
		b.WriteByte('\n')
	})
	const file = "testdata/help.txt"
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if b.String() != readFile(t, file) {
		t.Errorf("the help differs from %s; look at it, and write it with -update:\n%s", file, b.String())
	}
}

// Every command that does something answers programs, shows an example that names it, and
// says in one line what it is for.
func TestCommands_Documented(t *testing.T) {
	n := 0
	eachCommand(commands(), func(c *cobra.Command) {
		if c.Name() == "mfa" || c.Name() == "demo" {
			return
		}
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: %q", c.CommandPath(), c.Short)
		}
		if c.HasSubCommands() && c.Name() != "audit" {
			return
		}
		n++
		if !strings.Contains(c.Example, "secondgate "+c.CommandPath()) {
			t.Errorf("%s has no example of itself: %q", c.CommandPath(), c.Example)
		}
		if c.InheritedFlags().Lookup("json") == nil {
			t.Errorf("%s does not answer programs", c.CommandPath())
		}
	})
	if n < 35 {
		t.Errorf("only %d commands were looked at", n)
	}
}

// A shell completes our commands, their flags, and the words that can stand there.
func TestCommands_Completion(t *testing.T) {
	complete := func(args ...string) string {
		t.Helper()
		out, errs, code := program(t, append([]string{"__complete", "mfa"}, args...)...)
		if code != 0 {
			t.Fatalf("%q: %d\n%s", args, code, errs)
		}
		return out
	}
	for _, c := range []struct {
		typed string
		want  []string
	}{
		{"users ", []string{"list", "end-sessions", "reset-skip", "role"}},
		{"users list --", []string{"--no-factor", "--search", "--opted-out", "--json"}},
		{"users list --factor ", []string{"passkey", "totp", "sms", "email", "backup_code"}},
		{"users remove-factors alice --factor ", []string{"passkey"}},
		{"users role alice ", []string{"admin", "auditor", "none"}},
		{"users invite alice --role ", []string{"admin", "auditor"}},
		{"policy set ", []string{"factors", "require", "remember_device"}},
		{"policy set require ", []string{"on", "off"}},
		{"policy test factors passkey ", []string{"totp", "off"}},
		{"keys create k --scope ", []string{"users:read", "audit:read"}},
		{"audit ", []string{"tail", "verify", "export"}},
		{"audit list --event ", []string{"sign_in", "admin"}},
	} {
		args := strings.Split(c.typed, " ")
		out := complete(args...)
		for _, want := range c.want {
			if !strings.Contains("\n"+out, "\n"+want) {
				t.Errorf("%q does not offer %s:\n%s", c.typed, want, out)
			}
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if out, errs, code := program(t, "completion", shell); code != 0 || !strings.Contains(out, "__complete") {
			t.Errorf("completion %s: %d\n%.200s\n%s", shell, code, out, errs)
		}
	}
}
