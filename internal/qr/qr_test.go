package qr

import (
	"encoding/xml"
	"fmt"
	"strings"
	"testing"
)

const uri = "otpauth://totp/Acme:alice?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Acme&algorithm=SHA1&digits=6&period=30"

// modules reads the drawing back into a grid.
func modules(t *testing.T, svg string) map[[2]int]bool {
	t.Helper()
	var doc struct {
		Path []struct {
			D string `xml:"d,attr"`
		} `xml:"path"`
	}
	if err := xml.Unmarshal([]byte(svg), &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Path) != 1 {
		t.Fatalf("%d paths, want one", len(doc.Path))
	}
	grid := map[[2]int]bool{}
	for _, run := range strings.Split(strings.Trim(doc.Path[0].D, "Mz"), "zM") {
		var x, y, w, back int
		if _, err := fmt.Sscanf(run, "%d %dh%dv1h-%d", &x, &y, &w, &back); err != nil || w != back || w < 1 {
			t.Fatalf("run %q: %v", run, err)
		}
		for i := range w {
			grid[[2]int{x + i, y}] = true
		}
	}
	return grid
}

func TestSVG_DrawsTheCodeInsideItsQuietZone(t *testing.T) {
	svg, err := SVG(uri, 240)
	if err != nil {
		t.Fatal(err)
	}
	var full int
	if _, err := fmt.Sscanf(svg[strings.Index(svg, "viewBox"):], `viewBox="0 0 %d`, &full); err != nil {
		t.Fatal(err)
	}
	grid := modules(t, svg)
	n := full - 8
	if (n-17)%4 != 0 {
		t.Errorf("%d modules: no QR version has that many", n)
	}
	for at := range grid {
		if at[0] < 4 || at[1] < 4 || at[0] >= full-4 || at[1] >= full-4 {
			t.Fatalf("module %v is in the quiet zone", at)
		}
	}
	// The three finder patterns: a dark ring, a white ring, a dark core.
	for _, corner := range [][2]int{{4, 4}, {4 + n - 7, 4}, {4, 4 + n - 7}} {
		for y := range 7 {
			for x := range 7 {
				ring := max(abs(x-3), abs(y-3))
				if got, want := grid[[2]int{corner[0] + x, corner[1] + y}], ring != 2; got != want {
					t.Fatalf("finder at %v: module %d,%d dark=%v", corner, x, y, got)
				}
			}
		}
	}
}

func abs(n int) int { return max(n, -n) }

func TestSVG_NeedsNoStyleAndNoScript(t *testing.T) {
	svg, err := SVG(uri, 240)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"style", "script", "JBSWY", "alice", "onload"} {
		if strings.Contains(svg, word) {
			t.Errorf("the drawing contains %q", word)
		}
	}
	if !strings.Contains(svg, `shape-rendering="crispEdges"`) || !strings.Contains(svg, `width="240"`) {
		t.Error("edges or size are missing")
	}
}

func TestSVG_Rejects(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		size int
	}{
		"no text":       {"", 240},
		"too much text": {strings.Repeat("HUSH", 1000), 240},
		"no size":       {"HUSH", 0},
	} {
		if svg, err := SVG(tc.text, tc.size); err == nil || svg != "" || strings.Contains(err.Error(), "HUSH") {
			t.Errorf("%s: %q, %v", name, svg, err)
		}
	}
}
