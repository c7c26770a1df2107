package proxy

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/keystone-gateway/keystone-gateway/proxy/files"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
)

// maxConfig bounds a configuration file.
const maxConfig = 16 << 20

// Load reads and checks a configuration file. The error is settings.Errors
// where the file could be read. Scripts are loaded by New and Reload; here
// they are only read and compiled, and only if the file has errors, so that
// those of the scripts are reported with them.
func Load(file string) (*Config, error) {
	src, err := readConfig(file)
	if err != nil {
		return nil, err
	}
	return Parse(file, src)
}

// Parse checks the text of a configuration file. file is named in errors, and
// relative paths in the text start from its directory.
func Parse(file string, src []byte) (*Config, error) {
	config := DefaultConfig()
	document := settings.Decode(file, src, &config, os.LookupEnv)
	config.Check(filepath.Dir(file), document, document.Has)
	if document.Err() != nil { // nothing will be built, so this is where scripts are looked at
		config.checkSyntax(filepath.Dir(file), document)
	}
	if err := document.Err(); err != nil {
		return nil, err
	}
	config.notePlaces(file, document)
	config.sum = sha256.Sum256(src)
	if config.Server.Port != "" {
		config.Server.Address = ":" + config.Server.Port
	}
	return &config, nil
}

func readConfig(file string) ([]byte, error) {
	src, err := files.Read(filepath.Clean(file), maxConfig)
	if errors.Is(err, files.ErrTooLarge) {
		return nil, fmt.Errorf("configuration %q is too large, expected at most %d bytes", file, maxConfig)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open the configuration: %w", err)
	}
	return src, nil
}
