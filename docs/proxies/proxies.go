// Package proxies holds the configurations that the pages of this folder show, for the
// doctor, who prints them: what is written here is written once.
package proxies

import (
	"embed"
	"strings"
)

//go:embed *.md
var pages embed.FS

// Asking returns the configuration with which a proxy asks the gateway about requests, as the
// page of that proxy shows it; "" where there is no such page.
func Asking(proxy string) string {
	if proxy == "README" || proxy == "in-front" {
		return ""
	}
	raw, err := pages.ReadFile(proxy + ".md")
	if err != nil {
		return ""
	}
	// The first part is the gateway's, the second the proxy's.
	parts := strings.Split(string(raw), "\n## ")
	if len(parts) < 3 {
		return ""
	}
	return block(parts[2])
}

// InFront returns the lines with which a proxy that stands in front of the gateway hands
// requests on; "" where in-front.md has none of that name.
func InFront(proxy string) string {
	raw, err := pages.ReadFile("in-front.md")
	if err != nil {
		return ""
	}
	for _, part := range strings.Split(string(raw), "\n## ")[1:] {
		if title, rest, _ := strings.Cut(part, "\n"); strings.EqualFold(title, proxy) {
			return block(rest)
		}
	}
	return ""
}

// block returns what stands between the first fences.
func block(part string) string {
	_, rest, ok := strings.Cut("\n"+part, "\n```")
	if !ok {
		return ""
	}
	_, rest, _ = strings.Cut(rest, "\n")
	text, _, ok := strings.Cut(rest, "\n```")
	if !ok {
		return ""
	}
	return text + "\n"
}
