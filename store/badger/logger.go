package badger

import (
	"fmt"
	"log/slog"
	"strings"
)

// logger passes Badger's own words on, a level lower than Badger thinks of them:
// its progress is nothing that an operator has to read.
type logger struct {
	to *slog.Logger
	// damaged is told of damage that Badger only mentions and then goes on
	// without: it leaves a table out whose index does not match its checksum.
	damaged func(detail string)
}

func (l logger) Errorf(format string, args ...any) {
	text := line(format, args)
	if strings.Contains(text, "CHECKSUM_MISMATCH") || strings.HasPrefix(text, "Ignoring table") {
		l.damaged(text)
	}
	l.to.Error("store: " + text)
}

func (l logger) Warningf(format string, args ...any) { l.to.Warn("store: " + line(format, args)) }
func (l logger) Infof(format string, args ...any)    { l.to.Debug("store: " + line(format, args)) }

// Debugf is silent: Badger's debug lines hold row names.
func (l logger) Debugf(string, ...any) {}

func line(format string, args []any) string { return strings.TrimSpace(fmt.Sprintf(format, args...)) }
