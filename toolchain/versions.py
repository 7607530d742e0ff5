"""The versions that are installed; `requirements.lock` and the go.mod files contain the same."""

PULUMI = "3.256.0"
DOCKER_PLUGIN = "5.2.0"
CLOUDFLARE_PLUGIN = "6.23.1"
# SHA-256 of the archives of Pulumi's release, from the formula in github.com/pulumi/homebrew-tap,
# which is another source than the release itself.
PULUMI_ARCHIVES = {
    "darwin-arm64": "da8ed5d80c07ef00c5b0a489ddcedf4c985092d69b8efc4e9d2193e1e4f05b5b",
    "darwin-x64": "53a8c8775cb6e9886482552a3e7c74eccec7284dce4a4f68368a94113cf47b98",
    "linux-arm64": "a5b0c4cfc894d9147b8769eeb590fb6517f98829595d95443c2b6f91b1815711",
    "linux-x64": "fe4afd4cda48f7fe06961268834caf78fb1efa8b31ee61ad00ee2e6cfa91caea",
}
