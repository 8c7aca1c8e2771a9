package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// systemd reads the unit without a word, and finds little that the service could do.
func TestSystemd(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		missing(t, "systemd-analyze (Debian: apt-get install systemd)")
	}
	unit := filepath.Join(t.TempDir(), "secondgate.service")
	text := strings.ReplaceAll(read(t, "deploy/secondgate.service"), "/usr/local/bin/secondgate", program(t))
	if err := os.WriteFile(unit, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := run(t, nil, "systemd-analyze", "verify", unit); err != nil || strings.Contains(out, "secondgate") {
		t.Errorf("%v\n%s", err, out)
	}
	out, err := run(t, nil, "systemd-analyze", "security", "--offline=true", unit)
	m := regexp.MustCompile(`exposure level for secondgate\.service: ([0-9.]+)`).FindStringSubmatch(out)
	if err != nil || m == nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if level, err := strconv.ParseFloat(m[1], 64); err != nil || level > 1.7 {
		t.Errorf("the service is exposed to %s, and was to 1.6", m[1])
	}
	adapts(t, filepath.Join(top, "deploy/systemd/Caddyfile"))
}
