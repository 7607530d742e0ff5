// Command pulumi-resource-docker serves the upstream Docker provider to Pulumi
// under the tokens of the published pulumi-docker SDK.
package main

import (
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
)

// version is the SDK's version, set by the build: the engine refuses a plugin
// that reports another one.
var version = "0.0.0-dev"

func main() {
	// Without a schema the bridge skips its experimental type check; programs in
	// Python, whose SDK carries the types, need nothing else of it.
	tfbridge.Main("docker", version, provider(version), nil)
}
