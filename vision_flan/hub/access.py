"""Checks of token, repository name and permissions before anything is sent."""

from __future__ import annotations

from huggingface_hub import HfApi, get_session, get_token
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status  # type: ignore[attr-defined]

from vision_flan.dataset.manifest import FOLDER
from vision_flan.errors import HubError
from vision_flan.hub.remote import REPO_TYPE, Remote
from vision_flan.hub.waiting import Patience, no_token

#: Roles in an organization that may write to its repositories.
WRITER_ROLES = ("admin", "write", "contributor")
#: Files of a repository that was created on the website and is still unused.
FRESH_FILES = (".gitattributes", "README.md", "LICENSE")


def check_token(api: HfApi, patience: Patience) -> dict[str, object]:
    """The account that publishes.

    Raises:
        HubError: no token, an invalid one, or a read-only one.
    """
    if not (api.token or get_token()):
        raise no_token()
    account: dict[str, object] = patience.call("checking the token", api.whoami)
    auth = account.get("auth")
    token = auth.get("accessToken", {}) if isinstance(auth, dict) else {}
    if token.get("role") == "read":
        raise HubError(
            f"this token of {account['name']} is read-only",
            hint="create one with write access at huggingface.co/settings/tokens, then `hf auth login`",
        )
    return account


def check_repository(
    api: HfApi, remote: Remote, account: dict[str, object], patience: Patience, *, pull_request: bool
) -> None:
    """Check that this account may publish there.

    Raises:
        HubError: no write permission, or the repository has other content.
    """
    owner = remote.repo_id.split("/")[0]
    if remote.head is None:
        orgs = account.get("orgs")
        roles = {org["name"]: org.get("roleInOrg") for org in orgs} if isinstance(orgs, list) else {}
        if owner != account["name"] and roles.get(owner, "no-role") not in WRITER_ROLES:
            raise HubError(
                f"{account['name']} may not create {remote.repo_id}: not a writer in {owner}",
                hint=f"publish to {account['name']}/{remote.repo_id.split('/')[1]}, or join {owner}",
            )
        return
    if not pull_request:
        patience.call(
            f"checking write permission for {remote.repo_id}",
            lambda: api.auth_check(remote.repo_id, repo_type=REPO_TYPE, write=True),
        )
    foreign = [path for path in remote.files if path not in FRESH_FILES]
    if foreign and not any(path.startswith(f"{FOLDER}/") for path in remote.files):
        raise HubError(
            f"{remote.repo_id} is taken: it has {foreign[0]} and no vision-flan manifest",
            hint="choose another name, or empty that repository first",
        )


def check_card(api: HfApi, card: str, patience: Patience) -> None:
    """Let the Hub check the front matter, which it would otherwise refuse after all uploads.

    Raises:
        HubError: what is wrong with it.
    """

    def ask() -> list[str]:
        response = get_session().post(
            f"{api.endpoint}/api/validate-yaml",
            json={"content": card, "repoType": REPO_TYPE},
            headers=build_hf_headers(token=api.token),
        )
        if response.status_code == 400:
            return [str(error.get("message")) for error in response.json().get("errors", [])]
        hf_raise_for_status(response)
        return []

    errors = patience.call("checking the card", ask)
    if errors:
        raise HubError(
            f"the Hub refuses the front matter of README.md: {'; '.join(errors)}",
            hint="fix the block between the lines `---` on the repository's page, or remove it there",
        )
