"""Every setting of the product, read from the environment and `.env` in this one place.

The native run, compose and ECS differ in these values, never in code.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PLACEHOLDER = "change-me"
"""What `.env.example` holds where a secret belongs; starting on it is refused."""

SECRETS = ("gateway_api_key", "internal_api_key", "identity_secret", "webhook_api_key")

PASSED_ON = frozenset(
    {
        *("HOME", "USER", "TZ", "TMPDIR"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"),
        *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
    }
)
"""What the parts inherit from the shell that starts them: not its PATH, which differs from shell to shell."""

AWS_CHAIN = frozenset(
    {
        *("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_DEFAULT_REGION"),
        *("AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CA_BUNDLE", "AWS_EC2_METADATA_DISABLED"),
        *("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"),
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_BEARER_TOKEN_BEDROCK"),
        *("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_SQS", "AWS_ENDPOINT_URL_STS"),
        *("AWS_ENDPOINT_URL_BEDROCK", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AWS_ENDPOINT_URL_BEDROCK_AGENT_RUNTIME"),
        *("AWS_ENDPOINT_URL_SAGEMAKER", "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"),
    }
)
"""What boto3's chain of credentials reads, for the one part that calls AWS."""

REMOTE_EMBEDDINGS = ("ollama/", "bedrock/", "openai/")
"""What the name of an embedding model begins with that runs elsewhere."""

RAY_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal", "RAY_DATA_LOG_LEVEL": "ERROR"}
"""What Ray 2.60 takes from the environment alone."""


class Settings(BaseSettings):
    """Typed, bounded, and complete: a half-configured part is refused at start with the name of the variable."""

    model_config = SettingsConfigDict(env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True)

    # --- secrets: written by `make env` ------------------------------------------------------------------------------
    gateway_api_key: SecretStr = Field(description="The key of Open WebUI's connection; needs a signed identity too")
    client_api_key: SecretStr | None = Field(
        default=None, description="A key for other OpenAI clients; they read only what is open to everyone"
    )
    internal_api_key: SecretStr = Field(description="n8n and the command line show it to pipelines")
    webhook_api_key: SecretStr = Field(description="pipelines shows it to n8n's webhook")
    identity_secret: SecretStr = Field(description="Open WebUI signs the reader's identity with it (HS256)")

    # --- parts -------------------------------------------------------------------------------------------------------
    bind_host: str = Field(default="127.0.0.1", description="The address pipelines listens on")
    open_webui_port: int = Field(default=3000, ge=1, le=65535)
    n8n_port: int = Field(default=5678, ge=1, le=65535)
    pipelines_port: int = Field(default=8000, ge=1, le=65535)
    pipelines_url: str = Field(
        default_factory=lambda data: _on_this_machine(data, "pipelines_port"),
        description="Where n8n and Open WebUI find pipelines",
    )
    n8n_url: str = Field(
        default_factory=lambda data: _on_this_machine(data, "n8n_port"), description="Where pipelines finds n8n"
    )
    open_webui_url: str = Field(
        default_factory=lambda data: _on_this_machine(data, "open_webui_port"),
        description="Where people open Open WebUI, and where provisioning finds it",
    )
    state_dir: Path = Field(default=Path(".ragline"), description="Everything the product keeps on this machine")
    workflow_url: str = Field(
        default_factory=lambda data: data["n8n_url"],
        description="Where the workflows' webhooks are called: n8n, or its webhook processes in queue mode",
    )
    n8n_api_key_file: Path = Field(
        default_factory=lambda data: Path(data["state_dir"]) / "secrets" / "n8n-api-key",
        description="Holds the key with which pipelines may stop a run in n8n; written by provisioning",
    )

    # --- model -------------------------------------------------------------------------------------------------------
    llm_provider: Literal["auto", "ollama", "openai", "bedrock", "sagemaker", "extractive"] = Field(
        default="auto", description="Who answers. auto: Ollama if it answers and has a model, else extractive"
    )
    llm_model: str = Field(
        default="", description="The model's name at LLM_PROVIDER; empty: the one that provider is set up with"
    )
    llm_choices: str = Field(
        default="",
        description="More models in Open WebUI's list, as provider/model separated by commas; every provider that is "
        "set up is in it already",
    )
    llm_fallback: str = Field(
        default="extractive/quotes",
        description="Tried in this order, before the first token only, when the model cannot answer",
    )
    ollama_base_url: str = "http://127.0.0.1:11434"
    ollama_model: str = Field(default="", description="Empty: the first that Ollama has")
    ollama_num_parallel: int = Field(default=4, ge=1, le=512, description="As many requests at once as Ollama serves")
    ollama_context_length: int = Field(
        default=8192,
        ge=2048,
        le=1_048_576,
        description="Tokens of prompt and answer that Ollama makes room for",
    )
    openai_base_url: str = Field(default="", description="An OpenAI-compatible server: vLLM, LiteLLM, anything")
    openai_api_key: SecretStr = SecretStr("")
    openai_model: str = Field(default="", description="Empty: the first that the server has")
    openai_num_parallel: int = Field(default=64, ge=1, le=4096)
    bedrock_model: str = Field(
        default="",
        description="A model or inference profile of Bedrock; set, it is offered beside LLM_PROVIDER. Empty with "
        "LLM_PROVIDER=bedrock: Amazon Nova Lite where AWS_REGION lies",
    )
    bedrock_num_parallel: int = Field(default=32, ge=1, le=1024)
    bedrock_guardrail: str = Field(default="", description="A guardrail's id or ARN, and its version after a colon")
    sagemaker_endpoint: str = Field(
        default="", description="An endpoint of SageMaker that runs a vLLM or LMI container; set, it is offered too"
    )
    sagemaker_num_parallel: int = Field(default=16, ge=1, le=1024)
    llm_queue: int = Field(default=64, ge=0, le=10_000, description="How many wait for a model before 429")
    llm_retries: int = Field(default=2, ge=0, le=10, description="For a call that the provider throttles")
    llm_connect_timeout_s: float = Field(default=5, gt=0, le=60)
    llm_first_token_timeout_s: float = Field(
        default=120, gt=0, le=900, description="A model on a CPU reads the prompt for tens of seconds"
    )
    llm_idle_timeout_s: float = Field(default=45, gt=0, le=600, description="The longest silence between two tokens")
    prices_file: Path = Field(default=Path(__file__).parent / "prices.json")
    budget_usd_per_user_day: float = Field(
        default=0, ge=0, description="What one person's answers may cost in a day (UTC); 0: no limit"
    )
    budget_usd_per_day: float = Field(default=0, ge=0, description="What all answers may cost in a day; 0: no limit")
    answer_cache_mb: int = Field(
        default=32, ge=0, le=65_536, description="Memory for answers that are given again to the same question; 0: none"
    )
    answer_cache_ttl_s: float = Field(default=86_400, gt=0, description="How long an answer is kept")
    cache_url: SecretStr = Field(
        default=SecretStr(""),
        description="A Valkey, ElastiCache or Redis, redis:// or rediss://, that several pipelines share; empty: each "
        "process keeps its own",
    )

    # --- retrieval ---------------------------------------------------------------------------------------------------
    embedding_model: str = Field(
        default="all-MiniLM-L6-v2",
        description="all-MiniLM-L6-v2 (carried by a package), a folder with a model, or ollama/<model>, "
        "bedrock/<model>, openai/<model>",
    )
    models_dir: Path = Field(
        default_factory=lambda data: Path(data["state_dir"]) / "models", description="Holds prepared embedding models"
    )
    embedding_backend: Literal["onnx", "torch"] = Field(
        default="onnx", description="onnx: same vectors, several times faster on a CPU, no torch at run time"
    )
    embedding_threads: int = Field(default=1, ge=1, le=64)
    qdrant_url: str = Field(
        default="", description="A Qdrant server 1.19 or newer that keeps the index; empty: it is kept in this process"
    )
    qdrant_api_key: SecretStr = SecretStr("")
    retrieve_limit: int = Field(default=6, ge=1, le=50, description="Passages in a prompt")
    rewrite_timeout_s: float = Field(
        default=1.5,
        ge=0,
        le=10,
        description="How long a model may take to make a follow-up stand alone, where the rules are not sure; 0: never",
    )
    rerank_model: str = Field(
        default="",
        description="Orders the best passages anew: a folder with a cross-encoder, or bedrock/<model>; empty: off",
    )
    rerank_depth: int = Field(default=20, ge=2, le=100, description="So many of the best passages")
    rerank_timeout_s: float = Field(
        default=2,
        gt=0,
        le=30,
        description="After that the order of the search stays; a small cross-encoder takes 30 ms a passage on one core",
    )

    # --- documents ---------------------------------------------------------------------------------------------------
    registry_url: SecretStr = Field(
        default=SecretStr(""), description="The PostgreSQL database that knows every document; the native run sets it"
    )
    default_access: Literal["everyone", "nobody"] = Field(
        description="Who may read a document that no rule, tag or person says anything about"
    )
    access_file: Path = Field(default=Path("access.yaml"), description="Rules: who may read what lies where")
    document_sources: str = Field(
        default="", description="Folders and s3://bucket/prefix addresses to keep in line with, separated by commas"
    )
    source_tags: bool = Field(default=False, description="Object tags in S3 say who may read; a call for each object")
    document_queue_url: str = Field(default="", description="An SQS queue that gets the S3 event notifications")
    uploads_url: str = Field(
        default_factory=lambda data: str(Path(data["state_dir"]) / "data" / "uploads"),
        description="Where uploaded documents are kept: a folder, or s3://bucket/prefix",
    )
    max_document_mb: int = Field(default=100, ge=1, le=2048)
    ingest_workers: int = Field(default=0, ge=0, le=256, description="Documents at once; 0: as many as cores")
    ingest_here: bool = Field(
        default=True, description="False: pipelines leaves the reading of documents to `ragline worker` processes"
    )
    read_timeout_s: float = Field(
        default=300, gt=0, le=3600, description="For reading one document, before it is ended"
    )
    read_memory_mb: int = Field(default=1536, ge=256, le=65_536, description="For reading one document")
    vision_model: str = Field(
        default="",
        description="Reads pages that are images: a model of Ollama, or bedrock/<model>, openai/<model>; "
        "empty: Tesseract where it is installed",
    )
    vision_timeout_s: float = Field(default=180, gt=0, le=3600, description="For one page")
    tesseract_languages: str = Field(default="eng", description="Joined by +, as in eng+deu")
    aws_region: str = Field(default="", description="Empty: as the AWS configuration of this machine says")
    s3_endpoint_url: str = Field(default="", description="An S3-compatible server instead of AWS")
    s3_access_key_id: str = Field(default="", description="Empty: AWS' own chain, such as a task role")
    s3_secret_access_key: SecretStr = SecretStr("")

    # --- answer path -------------------------------------------------------------------------------------------------
    workflow_path: str = Field(
        default="answer-question",
        description="The webhook path of the answering workflow; answer-question-native-models asks Ollama and Bedrock "
        "by n8n's own nodes",
    )
    answer_deadline_s: float = Field(default=300, gt=1, le=3600, description="After that an answer ends with an error")
    workflow_idle_timeout_s: float = Field(
        default=40, gt=1, le=600, description="n8n sends a keepalive every 30 s; silence beyond this is a dead stream"
    )
    max_request_kb: int = Field(default=4096, ge=16, le=65_536, description="A long chat brings its history")
    max_question_chars: int = Field(default=32_000, ge=100, le=1_000_000)
    history_turns: int = Field(default=6, ge=0, le=50, description="Earlier turns that go into the prompt")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @field_validator("default_access", mode="before")
    @classmethod
    def _refuse_undecided(cls, value: object) -> object:
        if value not in ("everyone", "nobody"):
            raise ValueError("must be everyone or nobody: who may read a document that nothing is said about")
        return value

    @field_validator(*SECRETS)
    @classmethod
    def _refuse_placeholder(cls, value: SecretStr) -> SecretStr:
        return _strong(value, 16)

    @model_validator(mode="after")
    def _refuse_half_configured(self) -> Settings:
        if self.llm_provider == "openai" and not self.openai_base_url:
            raise ValueError("LLM_PROVIDER=openai needs OPENAI_BASE_URL")
        if self.llm_provider == "sagemaker" and not (self.sagemaker_endpoint or self.llm_model):
            raise ValueError("LLM_PROVIDER=sagemaker needs SAGEMAKER_ENDPOINT")
        return self

    def offered_models(self) -> tuple[str, ...]:
        """The model ids of `LLM_CHOICES`."""
        return tuple(choice.strip() for choice in self.llm_choices.split(",") if choice.strip())

    def model_providers(self) -> tuple[str, ...]:
        """The language model providers that are set up, Ollama first, for it is where nothing else is."""
        named = {model_id.partition("/")[0] for model_id in (*self.offered_models(), *self.fallback_models())}
        named.add(self.llm_provider)
        set_up = {
            "ollama": self.llm_provider == "auto" or bool(self.ollama_model),
            "openai": bool(self.openai_base_url),
            "bedrock": bool(self.bedrock_model),
            "sagemaker": bool(self.sagemaker_endpoint),
        }
        return tuple(name for name, here in set_up.items() if here or name in named)

    def configured_model(self, provider: str) -> str:
        """The model that a provider is set up with; empty where it is left to the provider."""
        own = {
            "ollama": self.ollama_model,
            "openai": self.openai_model,
            "bedrock": self.bedrock_model,
            "sagemaker": self.sagemaker_endpoint,
        }
        # `auto` looks for Ollama first, and a model that is named is its.
        chosen = "ollama" if self.llm_provider == "auto" else self.llm_provider
        return (self.llm_model if provider == chosen else "") or own.get(provider, "")

    def sources(self) -> tuple[str, ...]:
        """The addresses of `DOCUMENT_SOURCES`."""
        return tuple(source.strip() for source in self.document_sources.split(",") if source.strip())

    def embeds_elsewhere(self) -> bool:
        """Whether the embedding model runs elsewhere, so that none is prepared on this machine."""
        return self.embedding_model.startswith(REMOTE_EMBEDDINGS)

    def calls_aws(self) -> bool:
        """Whether pipelines needs credentials of AWS, or of a server like it."""
        addresses = (
            *self.sources(),
            self.uploads_url,
            self.document_queue_url,
            self.vision_model,
            self.rerank_model,
            self.embedding_model,
        )
        if {"bedrock", "sagemaker"}.intersection(self.model_providers()):
            return True
        return any(address.startswith(("s3://", "http", "bedrock/")) for address in addresses)

    def environment(self) -> dict[str, str]:
        """These settings as environment variables, for a process that must see the same."""
        values = {name: getattr(self, name) for name in Settings.model_fields}
        return {name.upper(): _as_text(value) for name, value in values.items() if value is not None}

    def fallback_models(self) -> tuple[str, ...]:
        """The model ids of `LLM_FALLBACK`, in order."""
        return tuple(choice.strip() for choice in self.llm_fallback.split(",") if choice.strip())


class StackSettings(Settings):
    """What the parts beside pipelines are started with.

    Read by the native run and by provisioning. Apart from `Settings`, so that pipelines itself never holds the
    passwords of its neighbours.
    """

    # --- secrets: written by `make env` ------------------------------------------------------------------------------
    open_webui_admin_password: SecretStr = Field(description="Signs the administrator in to Open WebUI")
    open_webui_secret_key: SecretStr = Field(description="Open WebUI signs its sessions with it")
    n8n_owner_password: SecretStr = Field(description="Signs the owner in to n8n's editor")
    upload_form_password: SecretStr = Field(description="Opens n8n's upload form, for the user `documents`")
    n8n_encryption_key: SecretStr = Field(description="n8n encrypts its credentials with it: back it up")
    postgres_password: SecretStr = Field(description="Of the PostgreSQL that the native run starts")

    # --- parts -------------------------------------------------------------------------------------------------------
    workflows_dir: Path = Field(default=Path("workflows"), description="What provisioning puts into n8n")
    open_webui_admin_email: str = "admin@example.org"
    n8n_owner_email: str = "owner@example.org"
    n8n_broker_port: int = Field(default=5679, ge=1, le=65535, description="Between n8n and its task runner")
    postgres_port: int = Field(default=5432, ge=1, le=65535)
    database_url: SecretStr = Field(
        default=SecretStr(""),
        description="A PostgreSQL 16 or newer whose user may create databases; empty: the native run starts its own",
    )

    @field_validator("open_webui_secret_key", "n8n_encryption_key", "postgres_password")
    @classmethod
    def _refuse_weak_secret(cls, value: SecretStr) -> SecretStr:
        return _strong(value, 16)

    @field_validator("open_webui_admin_password", "n8n_owner_password", "upload_form_password")
    @classmethod
    def _refuse_weak_password(cls, value: SecretStr) -> SecretStr:
        return _strong(value, 8)

    @field_validator("database_url")
    @classmethod
    def _refuse_other_databases(cls, value: SecretStr) -> SecretStr:
        url = value.get_secret_value()
        if url and not url.startswith(("postgresql://", "postgres://")):
            raise ValueError("must begin with postgresql://")
        return value


def inherited_environment(*, everything: bool = False) -> dict[str, str]:
    """What a process started here gets of the environment: all of it, or the same few things from any shell."""
    if everything:
        return dict(os.environ)
    passed_on = {name: value for name, value in os.environ.items() if name in PASSED_ON}
    return {**passed_on, "PATH": os.defpath, "LANG": "C.UTF-8"}


def aws_environment() -> dict[str, str]:
    """What a process started here needs for boto3 to find the credentials that this one would find."""
    return {name: value for name, value in os.environ.items() if name in AWS_CHAIN}


def quiet_ray() -> None:
    """Let Ray send no usage statistics and write its own log to its files; before it is imported, for it reads these.

    What the environment says already, for a cluster of one's own, stays.
    """
    for name, value in RAY_QUIET.items():
        os.environ.setdefault(name, value)


def _as_text(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def _strong(value: SecretStr, length: int) -> SecretStr:
    secret = value.get_secret_value()
    if secret == PLACEHOLDER or len(secret) < length:
        raise ValueError(f"is a placeholder or shorter than {length} characters; `make env` writes .env with real ones")
    return value


def _on_this_machine(data: dict[str, Any], port: str) -> str:
    return f"http://127.0.0.1:{data[port]}"
