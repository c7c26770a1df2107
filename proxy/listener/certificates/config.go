package certificates

import (
	_ "embed" // for ConfigSource
)

//go:embed config.go
var configSource string

// ConfigSource returns the text of this file, whose comments document the section
// in the JSON Schema and in docs/configuration.md.
func ConfigSource() string { return configSource }

// Config is the section certificates.
type Config struct {
	// Pairs of files, the default first: that is for clients which ask for no name,
	// or for one that no certificate is for. A client gets the certificate for
	// exactly the name that it asks for (SNI), or else that for a wildcard, an ECDSA
	// one rather than an RSA one where it takes both. Default: none.
	Files []FileConfig `yaml:"files"`

	// Directories of pairs, NAME.key with NAME.crt, NAME.cert or NAME.pem, or
	// privkey.pem with fullchain.pem, also in the directories within. A pair that
	// can't be used is left out, or stays what it was, which the log and the admin
	// API say. Where there are no files, the first pair by its path is the default.
	// Default: none.
	Directories []string `yaml:"directories"`
}

// FileConfig is an element of certificates.files.
type FileConfig struct {
	// Certificate chain, PEM, the certificate itself first.
	Cert string `yaml:"cert" required:"true"`

	// Private key, PEM, without a password.
	Key string `yaml:"key" required:"true"`
}

// Source is what the section means, with paths as at gives them.
func (c *Config) Source(at func(path string) string) Source {
	var s Source
	for i := range c.Files {
		s.Files = append(s.Files, Pair{at(c.Files[i].Cert), at(c.Files[i].Key)})
	}
	for _, dir := range c.Directories {
		s.Directories = append(s.Directories, at(dir))
	}
	return s
}
