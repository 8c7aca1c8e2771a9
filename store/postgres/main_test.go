package postgres

import (
	"os"
	"testing"

	"github.com/secondgate/secondgate/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }
