/** How an MLflow tracking server is reached, by the variables its own client reads. */
export interface MlflowEnvironment {
  /** `MLFLOW_TRACKING_URI` */
  uri: string | undefined;
  /** Header made of `MLFLOW_TRACKING_TOKEN`, or `MLFLOW_TRACKING_USERNAME` and `MLFLOW_TRACKING_PASSWORD`. */
  authorization: string | undefined;
}

export function mlflowEnvironment(): MlflowEnvironment {
  const {
    MLFLOW_TRACKING_URI: uri,
    MLFLOW_TRACKING_TOKEN: token,
    MLFLOW_TRACKING_USERNAME: user,
    MLFLOW_TRACKING_PASSWORD: password = '',
  } = process.env;
  const basic = user ? `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` : undefined;
  return { uri: uri || undefined, authorization: token ? `Bearer ${token}` : basic };
}
