//go:build tools

// Package tools names the command this module exists to build, so that its
// dependencies stay in go.mod.
package tools

import _ "github.com/pulumi/pulumi/sdk/v3/python/cmd/pulumi-language-python"
