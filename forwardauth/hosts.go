package forwardauth

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
)

// Hosts finds what belongs to a host. A name counts in its one spelling: lower case, no
// dot at the end, no port. "*.example.com" is each name with one label more, and the name
// itself goes before any star. It takes the same time for one host and for thousands, and
// gives the same answer (AC-215). The zero value has none.
type Hosts[T any] struct {
	exact map[string]T
	stars map[string]T // by what follows the star's dot
}

// Add puts value to a host, or says what is wrong with its name.
func (h *Hosts[T]) Add(name string, value T) error {
	name, err := ParseHost(name)
	if err != nil {
		return err
	}
	into, key := &h.exact, name
	if rest, star := strings.CutPrefix(name, "*."); star {
		into, key = &h.stars, rest
	}
	if *into == nil {
		*into = make(map[string]T)
	}
	if _, twice := (*into)[key]; twice {
		return fmt.Errorf("protect: %s stands twice; write it once", name)
	}
	(*into)[key] = value
	return nil
}

// Find returns what belongs to the host, which is canonical and may have a port.
func (h *Hosts[T]) Find(host string) (T, bool) {
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		host = host[:i]
	}
	if value, ok := h.exact[host]; ok {
		return value, true
	}
	_, rest, ok := strings.Cut(host, ".")
	if !ok {
		var none T
		return none, false
	}
	value, ok := h.stars[rest]
	return value, ok
}

var hostName = regexp.MustCompile(`^(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$`)

// ParseHost returns the one spelling of a host that is to be protected.
func ParseHost(name string) (string, error) {
	canonical := strings.ToLower(strings.TrimSuffix(name, "."))
	rest, star := strings.CutPrefix(canonical, "*.")
	_, notAddress := netip.ParseAddr(rest)
	switch {
	case strings.Contains(canonical, "://") || strings.ContainsAny(canonical, "/:"):
		return "", fmt.Errorf("protect: %q is no name of a host; write it without scheme, port and path: protect app.example.com", name)
	case !hostName.MatchString(canonical) || len(canonical) > 253:
		return "", fmt.Errorf("protect: %q is no name of a host; write letters, digits and dashes, other letters as xn--…, a star only as the first label: protect app.example.com *.apps.example.com", name)
	case star && (notAddress == nil || !strings.Contains(rest, ".")):
		return "", fmt.Errorf("protect: %q is more than one can mean; a star stands for one label below a domain; write for example: protect *.apps.example.com", name)
	}
	return canonical, nil
}
